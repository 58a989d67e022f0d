package testkit

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// TraceCollector receives spans by OTLP over HTTP, and keeps them.
type TraceCollector struct {
	URL string

	mu    sync.Mutex
	spans []CollectedSpan
}

// CollectedSpan is a span as it was sent. Ids are hexadecimal, and Parent is "" for the first span of a trace.
type CollectedSpan struct {
	Trace, ID, Parent string
	Name, Service     string
	Error             bool
	Attributes        map[string]string // values as protobuf JSON
	Links             []string          // ids of spans
	Text              string            // the whole span as protobuf JSON
}

// Collector starts a collector for the time of the test.
func Collector(t testing.TB) *TraceCollector {
	t.Helper()
	c := &TraceCollector{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.receive(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *TraceCollector) receive(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var request collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		service := ""
		for _, attribute := range resource.GetResource().GetAttributes() {
			if attribute.GetKey() == "service.name" {
				service = attribute.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				one := CollectedSpan{
					Trace: hex.EncodeToString(span.GetTraceId()), ID: hex.EncodeToString(span.GetSpanId()), Parent: hex.EncodeToString(span.GetParentSpanId()),
					Name: span.GetName(), Service: service, Error: span.GetStatus().GetCode() == 2, Attributes: map[string]string{},
					Text: protojson.Format(span),
				}
				for _, attribute := range span.GetAttributes() {
					one.Attributes[attribute.GetKey()] = protojson.MarshalOptions{}.Format(attribute.GetValue())
				}
				for _, link := range span.GetLinks() {
					one.Links = append(one.Links, hex.EncodeToString(link.GetSpanId()))
				}
				c.spans = append(c.spans, one)
			}
		}
	}
	return nil
}

// Spans returns the spans that have arrived, in this order.
func (c *TraceCollector) Spans() []CollectedSpan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]CollectedSpan(nil), c.spans...)
}

// Named returns the spans of this name.
func (c *TraceCollector) Named(name string) (found []CollectedSpan) {
	for _, span := range c.Spans() {
		if span.Name == name {
			found = append(found, span)
		}
	}
	return found
}

// PathTo returns the names of a span and of those that it is in, the first one of its trace first.
func (c *TraceCollector) PathTo(t testing.TB, span CollectedSpan) (names []string) {
	t.Helper()
	byID := map[string]CollectedSpan{}
	for _, one := range c.Spans() {
		byID[one.ID] = one
	}
	for {
		names = append([]string{span.Name}, names...)
		if span.Parent == "" {
			return names
		}
		parent, ok := byID[span.Parent]
		require.True(t, ok, "the span around %v was not sent", names)
		require.Equal(t, span.Trace, parent.Trace)
		span = parent
	}
}
