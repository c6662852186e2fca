package runs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"firetrail"
)

// otlp reads OpenTelemetry traces as OTLP JSON: one document, or one a line as
// the collector's file exporter writes. Tool calls are the spans named
// "execute_tool …" or with gen_ai.tool.name. Source: OpenTelemetry protocol
// 1.x JSON encoding, semantic conventions for generative AI.
var otlp = Kind{
	Name:  "otlp",
	Doc:   "OpenTelemetry spans as OTLP JSON (gen_ai tool spans); --run-attribute names the run",
	Sniff: func(head []byte) bool { return bytes.Contains(head, []byte(`"resourceSpans"`)) },
	read:  readOTLP,
}

// runAttributes name the run, in this order after --run-attribute.
var runAttributes = []string{"run.id", "run_id", "mlflow.run_id", "wandb.run_id", "training.run_id"}

type attribute struct {
	Key   string
	Value struct {
		StringValue *string
		IntValue    json.RawMessage
		DoubleValue *float64
		BoolValue   *bool
	}
}

type attributes []attribute

// get is the value of an attribute as text, "" where there is none.
func (as attributes) get(key string) string {
	for i := range as {
		if as[i].Key != key {
			continue
		}
		v := &as[i].Value
		switch {
		case v.StringValue != nil:
			return *v.StringValue
		case v.IntValue != nil:
			return str(v.IntValue)
		case v.DoubleValue != nil:
			return fmt.Sprint(*v.DoubleValue)
		}
	}
	return ""
}

// run is the run that the attributes name; any "….run_id" counts.
func (as attributes) run(given string) string {
	names := runAttributes
	if given != "" {
		names = append([]string{given}, runAttributes...)
	}
	for _, name := range names {
		if v := as.get(name); v != "" {
			return v
		}
	}
	for i := range as {
		if strings.HasSuffix(as[i].Key, ".run_id") || strings.HasSuffix(as[i].Key, ".run.id") {
			return as.get(as[i].Key)
		}
	}
	return ""
}

// readOTLP takes the spans that are tool calls; a span's own attributes count before
// those of its resource.
func readOTLP(f *file) error {
	dec := json.NewDecoder(bytes.NewReader(f.data))
	for n := 0; dec.More(); n++ {
		var doc struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes attributes }
				ScopeSpans []struct {
					Spans []struct {
						TraceID, SpanID, Name string
						StartTimeUnixNano     json.RawMessage
						EndTimeUnixNano       json.RawMessage
						Attributes            attributes
					}
				}
			}
		}
		line := f.lineAt(dec.InputOffset())
		if err := dec.Decode(&doc); err != nil {
			if n == 0 {
				return fmt.Errorf("%s:%d: %w", f.path, line, err)
			}
			f.note(line, "rest of the file is no OTLP JSON: %v", err)
			return nil
		}
		for _, rs := range doc.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, span := range ss.Spans {
					a := span.Attributes
					tool := a.get("gen_ai.tool.name")
					if tool == "" {
						var found bool
						if tool, found = strings.CutPrefix(span.Name, "execute_tool "); !found {
							continue
						}
					}
					both := append(append(attributes{}, a...), rs.Resource.Attributes...)
					c := firetrail.ToolCall{ID: span.SpanID, Tool: tool, Run: both.run(f.opt.RunAttribute), Unc: 1e6,
						Host: both.get("host.name"), Sandbox: both.get("sandbox.id"), Citation: f.cite(line)}
					if c.Run == "" {
						c.Run = both.get("gen_ai.conversation.id")
					}
					if c.Sandbox == "" {
						c.Sandbox = both.get("k8s.pod.name")
					}
					if id := a.get("gen_ai.tool.call.id"); id != "" {
						c.ID = id
					}
					c.IP, _ = netip.ParseAddr(both.get("host.ip"))
					c.Start, _ = f.stamp(str(span.StartTimeUnixNano))
					c.End, _ = f.stamp(str(span.EndTimeUnixNano))
					c.Args = a.get("gen_ai.tool.call.arguments")
					c.NoArgs = c.Args == ""
					f.out.calls = append(f.out.calls, c)
				}
			}
		}
	}
	return nil
}
