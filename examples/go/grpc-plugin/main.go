// A plugin that is a plain gRPC server: HTTP/2 cleartext only, no connectplugin services, with gRPC's own health and
// reflection services. The host is told what it provides.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	echov1 "goplugins/gen/echo/v1"
)

func say(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	req := &echov1.SayRequest{}
	if err := decode(req); err != nil {
		return nil, err
	}
	if req.Text == "fail" {
		return nil, status.Error(codes.AlreadyExists, "as asked")
	}
	// The caller sees whom the host took it for.
	if fields, ok := metadata.FromIncomingContext(ctx); ok {
		if err := grpc.SetTrailer(ctx, metadata.Pairs("x-caller", fmt.Sprint(fields.Get("x-plugin-caller-id")))); err != nil {
			return nil, err
		}
	}
	return &echov1.SayResponse{Text: req.Text, Provider: "go-grpc"}, nil
}

func bidiStream(_ any, stream grpc.ServerStream) error {
	for {
		req := &echov1.BidiStreamRequest{}
		if err := stream.RecvMsg(req); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(&echov1.BidiStreamResponse{Text: req.Text}); err != nil {
			return err
		}
	}
}

// By hand, so that no other generator is needed.
var echo = grpc.ServiceDesc{
	ServiceName: "echo.v1.Echo",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: say}},
	Streams: []grpc.StreamDesc{
		{StreamName: "BidiStream", Handler: bidiStream, ServerStreams: true, ClientStreams: true},
	},
	Metadata: "echo/v1/echo.proto",
}

func main() {
	log.SetFlags(0)
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	server.RegisterService(&echo, struct{}{})
	state := health.NewServer()
	state.SetServingStatus("echo.v1.Echo", healthpb.HealthCheckResponse_SERVING)
	state.SetServingStatus("broken", healthpb.HealthCheckResponse_NOT_SERVING)
	healthpb.RegisterHealthServer(server, state)
	reflection.Register(server)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stop
		server.Stop()
	}()
	fmt.Printf("PORT=%d\n", listener.Addr().(*net.TCPAddr).Port)
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
