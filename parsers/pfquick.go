package parsers

import (
	"math/bits"

	"firetrail"
)

// Columns of filterlog from 0, of an IPv4 packet from pfTOS on, of TCP and UDP from
// pfSrcPort on.
const (
	pfRule = iota
	pfSubRule
	pfAnchor
	pfTracker
	pfInterface
	pfReason
	pfVerdict
	pfDir
	pfVersion
	pfTOS
	pfECN
	pfTTL
	pfID
	pfOffset
	pfIPFlags
	pfProtoNumber
	pfProtoWord
	pfLength
	pfSrc
	pfDst
	pfSrcPort
	pfDstPort
	pfDataLen // the last one of UDP
	pfTCPFlags
	pfSeq
	pfAck
	pfWindow
	pfUrg
	pfOptions // may hold commas
)

// pfOwn has the names of the columns that are fields of their own.
var pfOwn = [pfOptions]string{
	pfRule: "rulenr", pfSubRule: "subrulenr", pfAnchor: "anchor", pfTracker: "tracker", pfInterface: "interface",
	pfVerdict: "action", pfTOS: "tos", pfECN: "ecn", pfTTL: "ttl", pfID: "id", pfOffset: "offset", pfIPFlags: "ip_flags",
	pfProtoNumber: "protonum", pfLength: "length", pfDataLen: "datalen",
	pfSeq: "seq", pfAck: "ack", pfWindow: "window", pfUrg: "urg",
}

// pfRow is a packet whose columns have been parted.
type pfRow struct {
	rec   []byte
	begin [pfOptions + 1]int // of each column
	count int                // of the columns, those behind pfUrg taken as one
}

// part finds the columns and keeps the event's own fields. The latter are void where
// the columns turn out to be others.
func (r *pfRow) part(rec []byte, ev *firetrail.Event) {
	r.rec, r.begin[0] = rec, 0
	i, start, x := 0, 0, ev.X
	for at := 0; at < len(rec); at += 8 {
		for t := zeroBytes(eightAt(rec, at) ^ eightOf(',')); t != 0; t &= t - 1 {
			end := at + bits.TrailingZeros64(t)>>3
			if name := pfOwn[i]; name != "" && end > start {
				x = append(x, firetrail.Field{Name: name, Value: text(rec[start:end])})
			}
			i++
			start = end + 1
			r.begin[i] = start
			if i == pfOptions {
				r.count, ev.X = pfOptions+1, x
				return
			}
		}
	}
	if name := pfOwn[i]; name != "" && len(rec) > start {
		x = append(x, firetrail.Field{Name: name, Value: text(rec[start:])})
	}
	r.count, ev.X = i+1, x
	r.begin[i+1] = len(rec) + 1
}

// column is the text of column i, which is not the options.
func (r *pfRow) column(i int) []byte { return r.rec[r.begin[i] : r.begin[i+1]-1] }

// isNumber reports whether column i is a number of at most 18 digits.
func (r *pfRow) isNumber(i int) bool {
	_, end := numberAt(r.rec, r.begin[i])
	return end == r.begin[i+1]-1
}

// quick reads a whole IPv4 packet of TCP or UDP, as nearly all are. It reports false
// where pfCommon has to read the record or to refuse it; what it has stored by then is void.
func (r *pfRow) quick(rec []byte, ev *firetrail.Event) bool {
	r.part(rec, ev)
	switch number, word := r.proto(); {
	case number == "6" && word == "tcp" && r.count == pfOptions+1:
		ev.Proto = "tcp"
		flags := r.column(pfTCPFlags)
		ev.Flags = text(flags)
		if !pfFlags(flags) || r.begin[pfSeq] < len(rec) && rec[r.begin[pfSeq]] == 'e' { // "errormsg="
			return false
		}
		if options := rec[r.begin[pfOptions]:]; len(options) > 0 {
			ev.Put("options", text(options))
		}
	case number == "17" && word == "udp" && r.count == pfDataLen+1:
		ev.Proto = "udp"
	default:
		return false
	}
	return r.header(ev) && r.addresses(ev)
}

// proto is number and name of the protocol, "" where the record is no IPv4 packet.
func (r *pfRow) proto() (number, word string) {
	if r.count <= pfDataLen || string(r.column(pfVersion)) != "4" {
		return "", ""
	}
	return text(r.column(pfProtoNumber)), text(r.column(pfProtoWord))
}

// header stores what pf says, and checks the columns of the IPv4 header.
func (r *pfRow) header(ev *firetrail.Event) bool {
	rule, dir, tos := r.column(pfRule), r.column(pfDir), r.column(pfTOS)
	ev.Rule = text(rule)
	ev.Reason = text(r.column(pfReason))
	ev.Action = pfAction(text(r.column(pfVerdict)))
	pfPlace(ev, text(r.column(pfInterface)), text(dir))
	return onlyDigits(rule) && pfDirection(dir) && len(tos) > 1 && tos[0] == '0' && tos[1] == 'x' &&
		r.isNumber(pfTTL) && r.isNumber(pfID) && string(r.column(pfOffset)) == "0" && r.isNumber(pfLength)
}

// addresses stores addresses and ports.
func (r *pfRow) addresses(ev *firetrail.Event) bool {
	var src, dst, srcPort, dstPort int
	ev.SrcIP, src = address4(r.rec, r.begin[pfSrc])
	ev.DstIP, dst = address4(r.rec, r.begin[pfDst])
	ev.SrcPort, srcPort = portAt(r.rec, r.begin[pfSrcPort])
	ev.DstPort, dstPort = portAt(r.rec, r.begin[pfDstPort])
	return src+1 == r.begin[pfDst] && dst+1 == r.begin[pfSrcPort] && srcPort+1 == r.begin[pfDstPort] && dstPort+1 == r.begin[pfDataLen]
}
