// A plugin that behaves as plugins of the Go library do.
//
// With HOST_URL it registers itself: handshake, registration, health, discovery and a first call of its dependency, and
// only then opens PORT. Any failure ends it with exit code 1; it never tries twice. Without HOST_URL it serves
// PluginIdentity and PluginControl, waits to be told who it is, and never calls the host.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"connectrpc.com/connect"

	pluginv1 "goplugins/gen/connectplugin/v1"
	"goplugins/gen/connectplugin/v1/connectpluginv1connect"
	"goplugins/gen/echo/v1/echov1connect"
	"goplugins/relay"
)

const version = "1.2.0"

type plugin struct {
	selfID     string
	provides   string
	dependency string
	stop       context.CancelFunc

	mu    sync.Mutex
	token string
}

func (p *plugin) GetPluginInfo(
	context.Context, *connect.Request[pluginv1.GetPluginInfoRequest],
) (*connect.Response[pluginv1.GetPluginInfoResponse], error) {
	info := &pluginv1.GetPluginInfoResponse{
		SelfId:      p.selfID,
		SelfVersion: version,
		Provides:    []*pluginv1.ServiceDeclaration{{Type: p.provides, Version: version, Path: relay.ServicePath}},
		Metadata:    map[string]string{"language": "go"},
	}
	if p.dependency != "" {
		info.Requires = []*pluginv1.ServiceDependency{{Type: p.dependency, MinVersion: "1.0.0", RequiredForStartup: true}}
	}
	return connect.NewResponse(info), nil
}

func (p *plugin) SetRuntimeIdentity(
	_ context.Context, req *connect.Request[pluginv1.SetRuntimeIdentityRequest],
) (*connect.Response[pluginv1.SetRuntimeIdentityResponse], error) {
	p.mu.Lock()
	p.token = req.Msg.RuntimeToken
	p.mu.Unlock()
	// Plugins of the library show this much of the token; a shorter one ends them.
	log.Printf("identity %s, token %s...", req.Msg.RuntimeId, req.Msg.RuntimeToken[:8])
	return connect.NewResponse(&pluginv1.SetRuntimeIdentityResponse{Acknowledged: true}), nil
}

func (p *plugin) GetHealth(
	context.Context, *connect.Request[pluginv1.GetHealthRequest],
) (*connect.Response[pluginv1.GetHealthResponse], error) {
	return connect.NewResponse(&pluginv1.GetHealthResponse{State: pluginv1.HealthState_HEALTH_STATE_HEALTHY}), nil
}

func (p *plugin) Shutdown(
	_ context.Context, req *connect.Request[pluginv1.ShutdownRequest],
) (*connect.Response[pluginv1.ShutdownResponse], error) {
	log.Printf("shutdown asked for: %s", req.Msg.Reason)
	p.stop()
	return connect.NewResponse(&pluginv1.ShutdownResponse{Acknowledged: true}), nil
}

// register does everything that needs the host, before the plugin's own port is open.
func (p *plugin) register(ctx context.Context, hostURL, port string) (*relay.Host, error) {
	handshake := connectpluginv1connect.NewHandshakeServiceClient(http.DefaultClient, hostURL)
	shaken, err := handshake.Handshake(ctx, connect.NewRequest(&pluginv1.HandshakeRequest{
		CoreProtocolVersion: 1,
		AppProtocolVersion:  1,
		MagicCookieKey:      relay.CookieKey,
		MagicCookieValue:    relay.CookieValue,
		SelfId:              p.selfID,
		SelfVersion:         version,
	}))
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	host := &relay.Host{URL: hostURL, RuntimeID: shaken.Msg.RuntimeId, Token: shaken.Msg.RuntimeToken}
	log.Printf("identity %s, token %s...", host.RuntimeID, host.Token[:8])

	registry := connectpluginv1connect.NewServiceRegistryClient(http.DefaultClient, hostURL, host.Identify())
	registered, err := registry.RegisterService(ctx, connect.NewRequest(&pluginv1.RegisterServiceRequest{
		ServiceType:  p.provides,
		Version:      version,
		EndpointPath: relay.ServicePath,
		Metadata:     map[string]string{"base_url": "http://127.0.0.1:" + port, "language": "go"},
	}))
	if err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	log.Printf("registered %s", registered.Msg.RegistrationId)

	lifecycle := connectpluginv1connect.NewPluginLifecycleClient(http.DefaultClient, hostURL, host.Identify())
	_, err = lifecycle.ReportHealth(ctx, connect.NewRequest(&pluginv1.ReportHealthRequest{
		State: pluginv1.HealthState_HEALTH_STATE_HEALTHY,
	}))
	if err != nil {
		return nil, fmt.Errorf("health report: %w", err)
	}

	if p.dependency != "" {
		answer, err := host.Say(ctx, p.dependency, "first call of "+p.selfID)
		if err != nil {
			return nil, fmt.Errorf("first call of %s: %w", p.dependency, err)
		}
		log.Printf("%s answered", answer.Provider)
	}
	return host, nil
}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	p := &plugin{
		selfID:     relay.Setting("SELF_ID", "go-library-plugin"),
		provides:   relay.Setting("PROVIDES", "go-echo"),
		dependency: os.Getenv("DEPENDS_ON"),
		stop:       stop,
	}
	port := relay.Setting("PORT", "0")

	var host *relay.Host
	mux := http.NewServeMux()
	if hostURL := os.Getenv("HOST_URL"); hostURL != "" {
		var err error
		if host, err = p.register(ctx, hostURL, port); err != nil {
			log.Print(err)
			os.Exit(1)
		}
	} else {
		mux.Handle(connectpluginv1connect.NewPluginIdentityHandler(p))
	}
	mux.Handle(connectpluginv1connect.NewPluginControlHandler(p))
	mux.Handle(echov1connect.NewEchoHandler(&relay.Echo{SelfID: p.selfID, Host: host}))

	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Print(err)
		os.Exit(1)
	}
	relay.PrintPort(listener)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	// Serve returns as soon as Shutdown begins; who left then would cut off the answer to Shutdown and calls in flight.
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(limit)
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		log.Print(err)
		os.Exit(1)
	}
	<-drained
}
