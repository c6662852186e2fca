package firetrail

import (
	"net/netip"
	"strconv"
	"strings"
)

// FieldType decides what the operators of the query language mean for a field,
// how its column is stored and how its value is printed.
type FieldType uint8

const (
	TypeText     FieldType = iota // words, compared without regard to case; wildcards
	TypeName                      // DNS names: "host:a.example" also covers subdomains
	TypeInt                       // whole numbers
	TypeBytes                     // whole numbers that people write with K, M, G
	TypePort                      // 0 to 65535
	TypeTime                      // nanoseconds since the epoch, RFC 3339 in text
	TypeDuration                  // nanoseconds, seconds with decimals in text
	TypeAddr                      // IPv4 and IPv6 addresses; CIDR
)

// String names the type for the list of fields.
func (t FieldType) String() string {
	return [...]string{"text", "name", "int", "bytes", "port", "time", "duration", "address"}[t]
}

// FieldDef is one common field. Exactly one of Text, Int and Addr is set: it
// gives the place of the value in an event, for reading and for writing.
type FieldDef struct {
	Name string
	Type FieldType
	Doc  string
	Text func(*Event) *string
	Int  func(*Event) *int64
	Addr func(*Event) *netip.Addr
}

// Fields are the common fields in the order in which they are printed. The
// names are the same in queries, outputs, rules and Parquet columns.
// "time.guess", "source", "line" and "offset" are fields too; every other field of a
// record is "x.NAME". The slice is read-only.
var Fields = []FieldDef{
	{Name: "time", Type: TypeTime, Doc: "when it began, as recorded, in UTC", Int: func(e *Event) *int64 { return &e.Time }},
	{Name: "end", Type: TypeTime, Doc: "when it ended", Int: func(e *Event) *int64 { return &e.End }},
	{Name: "duration", Type: TypeDuration, Doc: "how long it lasted, seconds", Int: func(e *Event) *int64 { return &e.Duration }},
	{Name: "kind", Type: TypeText, Doc: "family and record type: iptables, pf, paloalto.traffic, zeek.conn", Text: func(e *Event) *string { return &e.Kind }},
	{Name: "sensor", Type: TypeText, Doc: "the device that wrote the record", Text: func(e *Event) *string { return &e.Sensor }},
	{Name: "action", Type: TypeText, Doc: "allow, deny, drop, reject, reset, alert", Text: func(e *Event) *string { return &e.Action }},
	{Name: "reason", Type: TypeText, Doc: "the firewall's word for why", Text: func(e *Event) *string { return &e.Reason }},
	{Name: "direction", Type: TypeText, Doc: "in, out, forward as the sensor saw it", Text: func(e *Event) *string { return &e.Direction }},
	{Name: "proto", Type: TypeText, Doc: "tcp, udp, icmp, icmpv6, or the protocol's number", Text: func(e *Event) *string { return &e.Proto }},
	{Name: "src_ip", Type: TypeAddr, Doc: "source address", Addr: func(e *Event) *netip.Addr { return &e.SrcIP }},
	{Name: "src_port", Type: TypePort, Doc: "source port", Int: func(e *Event) *int64 { return &e.SrcPort }},
	{Name: "dst_ip", Type: TypeAddr, Doc: "destination address", Addr: func(e *Event) *netip.Addr { return &e.DstIP }},
	{Name: "dst_port", Type: TypePort, Doc: "destination port", Int: func(e *Event) *int64 { return &e.DstPort }},
	{Name: "nat_src_ip", Type: TypeAddr, Doc: "translated source address", Addr: func(e *Event) *netip.Addr { return &e.NATSrcIP }},
	{Name: "nat_src_port", Type: TypePort, Doc: "translated source port", Int: func(e *Event) *int64 { return &e.NATSrcPort }},
	{Name: "nat_dst_ip", Type: TypeAddr, Doc: "translated destination address", Addr: func(e *Event) *netip.Addr { return &e.NATDstIP }},
	{Name: "nat_dst_port", Type: TypePort, Doc: "translated destination port", Int: func(e *Event) *int64 { return &e.NATDstPort }},
	{Name: "bytes_out", Type: TypeBytes, Doc: "bytes from source to destination", Int: func(e *Event) *int64 { return &e.BytesOut }},
	{Name: "bytes_in", Type: TypeBytes, Doc: "bytes from destination to source", Int: func(e *Event) *int64 { return &e.BytesIn }},
	{Name: "packets_out", Type: TypeInt, Doc: "packets from source to destination", Int: func(e *Event) *int64 { return &e.PacketsOut }},
	{Name: "packets_in", Type: TypeInt, Doc: "packets from destination to source", Int: func(e *Event) *int64 { return &e.PacketsIn }},
	{Name: "in_interface", Type: TypeText, Doc: "interface it came in on", Text: func(e *Event) *string { return &e.InInterface }},
	{Name: "out_interface", Type: TypeText, Doc: "interface it left by", Text: func(e *Event) *string { return &e.OutInterface }},
	{Name: "src_zone", Type: TypeText, Doc: "zone of the source", Text: func(e *Event) *string { return &e.SrcZone }},
	{Name: "dst_zone", Type: TypeText, Doc: "zone of the destination", Text: func(e *Event) *string { return &e.DstZone }},
	{Name: "rule", Type: TypeText, Doc: "rule name, number or log prefix", Text: func(e *Event) *string { return &e.Rule }},
	{Name: "app", Type: TypeText, Doc: "application as the sensor identified it", Text: func(e *Event) *string { return &e.App }},
	{Name: "service", Type: TypeText, Doc: "protocol as the sensor's analyser named it", Text: func(e *Event) *string { return &e.Service }},
	{Name: "host", Type: TypeName, Doc: "name the peer was known by: DNS question, SNI, HTTP host", Text: func(e *Event) *string { return &e.Host }},
	{Name: "url", Type: TypeText, Doc: "URL or path", Text: func(e *Event) *string { return &e.URL }},
	{Name: "user", Type: TypeText, Doc: "user named by the record", Text: func(e *Event) *string { return &e.User }},
	{Name: "flags", Type: TypeText, Doc: "TCP flags as recorded", Text: func(e *Event) *string { return &e.Flags }},
	{Name: "state", Type: TypeText, Doc: "connection state as recorded", Text: func(e *Event) *string { return &e.State }},
	{Name: "uid", Type: TypeText, Doc: "the sensor's connection id", Text: func(e *Event) *string { return &e.UID }},
	{Name: "community_id", Type: TypeText, Doc: "Community ID v1", Text: func(e *Event) *string { return &e.CommunityID }},
	{Name: "src_country", Type: TypeText, Doc: "country of the source", Text: func(e *Event) *string { return &e.SrcCountry }},
	{Name: "dst_country", Type: TypeText, Doc: "country of the destination", Text: func(e *Event) *string { return &e.DstCountry }},
	{Name: "src_asn", Type: TypeInt, Doc: "autonomous system of the source", Int: func(e *Event) *int64 { return &e.SrcASN }},
	{Name: "dst_asn", Type: TypeInt, Doc: "autonomous system of the destination", Int: func(e *Event) *int64 { return &e.DstASN }},
	{Name: "run", Type: TypeText, Doc: "training run the event is attributed to", Text: func(e *Event) *string { return &e.Run }},
	{Name: "source", Type: TypeText, Doc: "source it was read from", Text: func(e *Event) *string { return &e.Source }},
	{Name: "line", Type: TypeInt, Doc: "line in the source, from 1", Int: func(e *Event) *int64 { return &e.Line }},
	{Name: "offset", Type: TypeInt, Doc: "byte offset in the source", Int: func(e *Event) *int64 { return &e.Offset }},
}

// FieldNamed finds a common field by its exact name.
func FieldNamed(name string) (*FieldDef, bool) {
	for i := range Fields {
		if Fields[i].Name == name {
			return &Fields[i], true
		}
	}
	return nil, false
}

// Value returns the printed value of any field: a common one, "id",
// "time.guess", or "x.NAME"; ok is false where the event has none.
func (ev *Event) Value(name string) (value string, ok bool) {
	if x, found := strings.CutPrefix(name, "x."); found {
		return ev.Get(x)
	}
	switch name {
	case "id":
		return ev.ID(), true
	case "time.guess":
		return ev.Guess.String(), ev.Guess != 0
	}
	f, found := FieldNamed(name)
	if !found {
		return "", false
	}
	return f.Print(ev)
}

// Print returns the field's value as text; ok is false where the event has none.
func (f *FieldDef) Print(ev *Event) (value string, ok bool) {
	switch {
	case f.Text != nil:
		s := *f.Text(ev)
		return s, s != ""
	case f.Addr != nil:
		a := *f.Addr(ev)
		if !a.IsValid() {
			return "", false
		}
		return a.String(), true
	}
	n := *f.Int(ev)
	if n == Absent {
		return "", false
	}
	switch f.Type {
	case TypeTime:
		return Stamp(n), true
	case TypeDuration:
		return Seconds(n), true
	}
	return strconv.FormatInt(n, 10), true
}

// Seconds prints nanoseconds as seconds with as many decimals as needed.
func Seconds(ns int64) string {
	return strconv.FormatFloat(float64(ns)/1e9, 'f', -1, 64)
}
