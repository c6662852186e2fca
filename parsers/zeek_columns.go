package parsers

import (
	"bytes"
	"strings"

	"firetrail"
)

// zeekRole is the place of a column's value in an event.
type zeekRole uint8

const (
	zeekOwn zeekRole = iota // x.NAME
	zeekTS
	zeekUID
	zeekOrigH
	zeekOrigP
	zeekRespH
	zeekRespP
	zeekProto
	zeekService
	zeekDuration
	zeekOrigBytes
	zeekRespBytes
	zeekOrigPkts
	zeekRespPkts
	zeekState
	zeekCommunity
	zeekName // a DNS question or SNI
	zeekURL
	zeekUser
	zeekNote
	zeekSystem // the sensor's name
	zeekPath   // the log's name, told by every record

	// The meaning of the following depends on the other columns of the record.

	zeekLate
	zeekHost       // http: the Host header; software, known_*: an address
	zeekSrc        // notice, weird filters: used where id.orig_h is unset
	zeekSrcPort    //
	zeekDst        //
	zeekDstPort    //
	zeekNotePort   // notice: p
	zeekIPProto    // the number behind proto unknown_transport
	zeekClient     // dhcp
	zeekServer     // dhcp
	zeekAssigned   // dhcp
	zeekHostPort   // known_services, known_certs: port_num
	zeekHostProto  // known_services: port_proto
	zeekLossDegree // capture_loss: percent_lost
	zeekLossCount  // stats: pkts_dropped
)

// zeekRoles gives the role of a column by its name. The spellings are those of
// default_scope_sep "_" and of the field name maps in Zeek's own tests.
var zeekRoles = map[string]zeekRole{
	"ts": zeekTS, "uid": zeekUID,
	"id.orig_h": zeekOrigH, "id_orig_h": zeekOrigH, "orig_h": zeekOrigH,
	"id.orig_p": zeekOrigP, "id_orig_p": zeekOrigP, "orig_p": zeekOrigP,
	"id.resp_h": zeekRespH, "id_resp_h": zeekRespH, "resp_h": zeekRespH,
	"id.resp_p": zeekRespP, "id_resp_p": zeekRespP, "resp_p": zeekRespP,
	"id.src_ip": zeekOrigH, "id.src_p": zeekOrigP, "id.dst_ip": zeekRespH, "id.dst_p": zeekRespP, // unified2
	"src": zeekSrc, "src_ip": zeekSrc, "src_addr": zeekSrc, "src_port": zeekSrcPort,
	"dst": zeekDst, "dst_ip": zeekDst, "dst_addr": zeekDst, "dst_port": zeekDstPort,
	"proto": zeekProto, "service": zeekService, "duration": zeekDuration,
	"orig_bytes": zeekOrigBytes, "resp_bytes": zeekRespBytes,
	"orig_pkts": zeekOrigPkts, "resp_pkts": zeekRespPkts,
	"conn_state": zeekState, "community_id": zeekCommunity,
	"query": zeekName, "server_name": zeekName, "host": zeekHost, "uri": zeekURL,
	"user": zeekUser, "username": zeekUser, "note": zeekNote, "p": zeekNotePort,
	"_system_name": zeekSystem, "@system": zeekSystem, "_node_name": zeekSystem,
	"_path": zeekPath, "@stream": zeekPath, "_stream": zeekPath,
	"ip_proto": zeekIPProto, "client_addr": zeekClient, "server_addr": zeekServer, "assigned_addr": zeekAssigned,
	"port_num": zeekHostPort, "port_proto": zeekHostProto,
	"percent_lost": zeekLossDegree, "pkts_dropped": zeekLossCount,
}

// zeekType is what a column's text must look like.
type zeekType uint8

const (
	zeekAny zeekType = iota // the type is not known: nothing is checked
	zeekText
	zeekCount
	zeekInt
	zeekDouble
	zeekBool
	zeekSeconds // time, interval
	zeekPort
	zeekAddr
	zeekSubnet
	zeekSet // set, vector, table
)

// zeekTypeNamed reads a word of #types; a word of no known type is taken as text.
func zeekTypeNamed(name string) zeekType {
	switch name {
	case "count", "counter":
		return zeekCount
	case "int", "int64":
		return zeekInt
	case "double":
		return zeekDouble
	case "bool":
		return zeekBool
	case "time", "interval":
		return zeekSeconds
	case "port":
		return zeekPort
	case "addr":
		return zeekAddr
	case "subnet":
		return zeekSubnet
	case "":
		return zeekAny
	}
	for _, outer := range []string{"set[", "vector[", "table["} {
		if strings.HasPrefix(name, outer) {
			return zeekSet
		}
	}
	return zeekText
}

// what names the type for people.
func (t zeekType) what() string {
	return [...]string{"a value", "text", "a count", "a whole number", "a number", "T or F", "seconds", "a port", "an address", "a subnet", "a set"}[t]
}

// fits reports whether v looks like a value of the type.
func (t zeekType) fits(v []byte) bool {
	switch t {
	case zeekCount:
		return len(v) <= 20 && zeekDigits(v)
	case zeekInt:
		return len(v) <= 20 && zeekDigits(bytes.TrimPrefix(v, []byte{'-'}))
	case zeekSeconds, zeekDouble:
		return zeekDecimal(v)
	case zeekBool:
		return len(v) == 1 && (v[0] == 'T' || v[0] == 'F')
	case zeekPort:
		_, ok := port(v)
		return ok
	case zeekAddr:
		_, ok := address(v)
		return ok
	case zeekSubnet:
		host, bits, ok := bytes.Cut(v, []byte{'/'})
		_, isAddr := address(host)
		return ok && isAddr && len(bits) <= 3 && zeekDigits(bits)
	}
	return true
}

func zeekDigits(v []byte) bool {
	for _, c := range v {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(v) > 0
}

// zeekDecimal accepts what Zeek prints for doubles: digits (up to 309 of them),
// decimals, an exponent, and inf and nan.
func zeekDecimal(v []byte) bool {
	v = bytes.TrimPrefix(v, []byte{'-'})
	i := jsonDigits(v, 0)
	if i == 0 {
		return string(v) == "inf" || string(v) == "nan"
	}
	if i < len(v) && v[i] == '.' {
		i = jsonDigits(v, i+1)
	}
	if i == len(v) {
		return true
	}
	_, ok := zeekExponent(v[i:])
	return ok
}

// zeekColumn is one column of a log.
type zeekColumn struct {
	name  string
	role  zeekRole
	typ   zeekType
	set   zeekSetter
	read  zeekReading
	marks zeekMarks
	tail  bool // divided from the next by blanks, not by the separator (labelled data sets)
}

func newZeekColumn(name string) zeekColumn {
	c := zeekColumn{name: name, role: zeekRoles[name], marks: zeekMarkOf[name]}
	c.bind()
	return c
}

// zeekLateValue is the value of a column that waits for the end of the record.
type zeekLateValue struct {
	column *zeekColumn
	value  string
}

// zeekRow fills one event, column after column; finish completes it.
type zeekRow struct {
	ctx          *Context
	log          *zeekLog
	asked        bool // log has decided where a value goes
	ev           *firetrail.Event
	origP, respP zeekLateValue
	late         []zeekLateValue
	system       string
}

func (z *zeekRow) begin(log *zeekLog, ev *firetrail.Event) {
	z.log, z.asked, z.ev = log, false, ev
	z.origP, z.respP, z.system = zeekLateValue{}, zeekLateValue{}, ""
	z.late = z.late[:0]
}

// finish gives meaning to what depends on several columns.
func (z *zeekRow) finish() {
	ev := z.ev
	ev.Kind = z.log.kind
	for _, l := range z.late {
		z.place(l.column, l.value)
	}
	if ev.Proto != "" {
		z.proto()
	}
	if ev.Time != firetrail.Absent && ev.Duration != firetrail.Absent {
		ev.End = ev.Time + ev.Duration
	}
	if ev.Service == "" {
		ev.Service = z.log.service
	}
}

// proto brings the protocol to the common names. For ICMP Zeek writes type and
// code where ports stand: they are no ports and stay under their own names.
func (z *zeekRow) proto() {
	ev := z.ev
	switch ev.Proto {
	case "tcp", "udp":
		return
	}
	if own := ev.Proto; strings.ToLower(own) != own {
		ev.Put("proto", own)
		ev.Proto = strings.ToLower(own)
	}
	if ev.Proto != "icmp" && ev.Proto != "icmpv6" {
		return
	}
	if ev.Proto == "icmp" && ev.SrcIP.Is6() {
		ev.Put("proto", ev.Proto)
		ev.Proto = "icmpv6"
	}
	for _, p := range [...]zeekLateValue{z.origP, z.respP} {
		if p.column != nil {
			ev.Put(p.column.name, p.value)
		}
	}
	ev.SrcPort, ev.DstPort = firetrail.Absent, firetrail.Absent
}
