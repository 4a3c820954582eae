// Package relay is what the plugins of this module share: the echo service, which passes a text on along a chain of
// service types, and the calls of other plugins through the host.
package relay

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"connectrpc.com/connect"

	pluginv1 "goplugins/gen/connectplugin/v1"
	"goplugins/gen/connectplugin/v1/connectpluginv1connect"
	echov1 "goplugins/gen/echo/v1"
	"goplugins/gen/echo/v1/echov1connect"
)

// What host and plugins greet each other with.
const (
	CookieKey   = "CONNECT_PLUGIN"
	CookieValue = "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e"
	ServicePath = "/echo.v1.Echo/"
)

// Setting reads an environment variable.
func Setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// PrintPort tells the test where the plugin listens.
func PrintPort(listener net.Listener) {
	fmt.Printf("PORT=%d\n", listener.Addr().(*net.TCPAddr).Port)
}

// Host is the host as a plugin with an identity sees it.
type Host struct {
	URL, RuntimeID, Token string
}

// Identify puts the plugin's credentials on every call.
func (h *Host) Identify() connect.ClientOption {
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("X-Plugin-Runtime-ID", h.RuntimeID)
			req.Header().Set("Authorization", "Bearer "+h.Token)
			return next(ctx, req)
		}
	}))
}

// Say discovers a provider of serviceType and calls it by the short path.
func (h *Host) Say(ctx context.Context, serviceType, text string) (*echov1.SayResponse, error) {
	registry := connectpluginv1connect.NewServiceRegistryClient(http.DefaultClient, h.URL, h.Identify())
	found, err := registry.DiscoverService(ctx, connect.NewRequest(&pluginv1.DiscoverServiceRequest{
		ServiceType: serviceType,
		MinVersion:  "1.0.0",
	}))
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	url := h.URL + found.Msg.Endpoint.EndpointUrl + "/Say"
	client := connect.NewClient[echov1.SayRequest, echov1.SayResponse](http.DefaultClient, url, h.Identify())
	said, err := client.CallUnary(ctx, connect.NewRequest(&echov1.SayRequest{Text: text}))
	if err != nil {
		return nil, err
	}
	return said.Msg, nil
}

// Echo sends the text back. A text `a>b>c` goes to a provider of service type a first, which gets `b>c`.
type Echo struct {
	echov1connect.UnimplementedEchoHandler

	SelfID string
	// Host is nil if the plugin has no identity, and then nothing can be passed on.
	Host *Host
}

// Say implements echo.v1.Echo.
func (e *Echo) Say(
	ctx context.Context, req *connect.Request[echov1.SayRequest],
) (*connect.Response[echov1.SayResponse], error) {
	if req.Header().Get("Authorization") != "" || req.Header().Get("X-Plugin-Runtime-ID") != "" {
		return nil, connect.NewError(connect.CodeInternal, fmt.Errorf("%s was shown the credentials of its caller", e.SelfID))
	}
	next, rest, passOn := strings.Cut(req.Msg.Text, ">")
	if !passOn {
		return connect.NewResponse(&echov1.SayResponse{Text: req.Msg.Text, Provider: e.SelfID}), nil
	}
	if e.Host == nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("%s cannot call %s: it has no host", e.SelfID, next))
	}
	said, err := e.Host.Say(ctx, next, rest)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&echov1.SayResponse{Text: said.Text, Provider: e.SelfID + ">" + said.Provider}), nil
}
