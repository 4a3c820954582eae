// A plugin as the library's older entry point serves it: no PluginIdentity. It answers the handshake itself, as a host
// does, and serves its service and connectplugin.health.v1.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"connectrpc.com/connect"

	healthv1 "goplugins/gen/connectplugin/health/v1"
	"goplugins/gen/connectplugin/health/v1/healthv1connect"
	pluginv1 "goplugins/gen/connectplugin/v1"
	"goplugins/gen/connectplugin/v1/connectpluginv1connect"
	"goplugins/gen/echo/v1/echov1connect"
	"goplugins/relay"
)

type handshake struct{}

func (handshake) Handshake(
	_ context.Context, req *connect.Request[pluginv1.HandshakeRequest],
) (*connect.Response[pluginv1.HandshakeResponse], error) {
	if req.Msg.MagicCookieKey != relay.CookieKey || req.Msg.MagicCookieValue != relay.CookieValue {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("the magic cookie is not mine"))
	}
	if req.Msg.CoreProtocolVersion != 1 || req.Msg.AppProtocolVersion != 1 {
		return nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf(
			"core %d, app %d: both must be 1", req.Msg.CoreProtocolVersion, req.Msg.AppProtocolVersion))
	}
	return connect.NewResponse(&pluginv1.HandshakeResponse{
		CoreProtocolVersion: 1,
		AppProtocolVersion:  1,
		Plugins:             []*pluginv1.PluginInfo{{Name: "served-echo", Version: "1.0.0", ServicePath: relay.ServicePath}},
		ServerMetadata:      map[string]string{"server_version": "1.0.0"},
	}), nil
}

type health struct {
	healthv1connect.UnimplementedHealthServiceHandler
}

func (health) Check(
	context.Context, *connect.Request[healthv1.HealthCheckRequest],
) (*connect.Response[healthv1.HealthCheckResponse], error) {
	return connect.NewResponse(&healthv1.HealthCheckResponse{
		Status: healthv1.ServingStatus_SERVING_STATUS_SERVING,
	}), nil
}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	mux := http.NewServeMux()
	mux.Handle(connectpluginv1connect.NewHandshakeServiceHandler(handshake{}))
	mux.Handle(healthv1connect.NewHealthServiceHandler(health{}))
	mux.Handle(echov1connect.NewEchoHandler(&relay.Echo{SelfID: "go-serve-plugin"}))

	listener, err := net.Listen("tcp", "127.0.0.1:"+relay.Setting("PORT", "0"))
	if err != nil {
		log.Print(err)
		os.Exit(1)
	}
	relay.PrintPort(listener)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		log.Print(err)
		os.Exit(1)
	}
}
