package simulate

import (
	"net/netip"
	"strconv"
	"time"
)

// zeek writes conn, dns, ssl, ssh and http of one sensor; rows of one
// connection share a uid. The inner sensor writes TSV as zeekctl archives it, the
// outer one JSON and sees translated addresses.
type zeek struct {
	sim   *simulation
	clock *clock
	sees  views
	json  bool
	files [zeekLogs]*logFile
}

// logs of a Zeek sensor.
const (
	zeekConn = iota
	zeekDNS
	zeekSSL
	zeekSSH
	zeekHTTP
	zeekLogs
)

// zeekColumns are name and type of each log's columns, in the order of a current Zeek.
var zeekColumns = [zeekLogs]struct{ path, fields, types string }{
	{"conn", "service\tduration\torig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents",
		"string\tinterval\tcount\tcount\tstring\tbool\tbool\tcount\tstring\tcount\tcount\tcount\tcount\tset[string]"},
	{"dns", "trans_id\trtt\tquery\tqclass\tqclass_name\tqtype\tqtype_name\trcode\trcode_name\tAA\tTC\tRD\tRA\tZ\tanswers\tTTLs\trejected",
		"count\tinterval\tstring\tcount\tstring\tcount\tstring\tcount\tstring\tbool\tbool\tbool\tbool\tcount\tvector[string]\tvector[interval]\tbool"},
	{"ssl", "version\tcipher\tcurve\tserver_name\tresumed\tlast_alert\tnext_protocol\testablished\tssl_history\tcert_chain_fps\tclient_cert_chain_fps\tsni_matches_cert",
		"string\tstring\tstring\tstring\tbool\tstring\tstring\tbool\tstring\tvector[string]\tvector[string]\tbool"},
	{"ssh", "version\tauth_success\tauth_attempts\tdirection\tclient\tserver\tcipher_alg\tmac_alg\tcompression_alg\tkex_alg\thost_key_alg\thost_key",
		"count\tbool\tcount\tenum\tstring\tstring\tstring\tstring\tstring\tstring\tstring\tstring"},
	{"http", "trans_depth\tmethod\thost\turi\treferrer\tversion\tuser_agent\torigin\trequest_body_len\tresponse_body_len\tstatus_code\tstatus_msg\tinfo_code\tinfo_msg\ttags\tusername\tpassword\tproxied",
		"count\tstring\tstring\tstring\tstring\tstring\tstring\tstring\tcount\tcount\tcount\tstring\tcount\tstring\tset[enum]\tstring\tstring\tset[string]"},
}

func newZeek(sim *simulation, sees views, c *clock, json bool) *zeek {
	z := &zeek{sim: sim, clock: c, sees: sees, json: json}
	for i, log := range zeekColumns {
		if json {
			z.files[i] = sim.newFile(dated("zeek-outer/"+log.path+".", ".log", sim.opt.start(), sim.opt.Days, i != zeekConn))
			continue
		}
		z.files[i] = sim.newFile(dated("zeek-core/"+log.path+".", ".log", sim.opt.start(), sim.opt.Days, i != zeekConn))
		proto := "\tproto"
		kind := "\tenum"
		if i != zeekConn && i != zeekDNS {
			proto, kind = "", ""
		}
		z.files[i].header = func(f *logFile) {
			at := time.Unix(0, sim.opt.start()+int64(f.day)*day).UTC().Format("2006-01-02-15-04-05")
			for _, text := range []string{"#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", "#path\t" + log.path, "#open\t" + at,
				"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p" + proto + "\t" + log.fields,
				"#types\ttime\tstring\taddr\tport\taddr\tport" + kind + "\t" + log.types} {
				f.line(text)
			}
			f.trailer = "#close\t" + time.Unix(0, sim.opt.start()+int64(f.day+1)*day).UTC().Format("2006-01-02-15-04-05")
		}
	}
	return z
}

func (z *zeek) view() views { return z.sees }

// uid is Zeek's name of a connection: "C" and 17 characters.
func (z *zeek) uid(b []byte, s *Session) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b = append(b, 'C')
	h := mix(s.Seq ^ uint64(z.sees)<<32)
	for i := range 17 {
		if i == 9 {
			h = mix(h ^ s.Seq)
		}
		b = append(b, alphabet[h%62])
		h /= 62
	}
	return b
}

// tuple is the connection as this sensor sees it.
func (z *zeek) tuple(s *Session) (src netip.Addr, sport uint16, dst netip.Addr) {
	if z.sees != viewOuter {
		return s.Src, s.SrcPort, s.Dst
	}
	switch {
	case !s.natted():
		return s.Src, s.SrcPort, s.outsideDst()
	case s.Proto == ICMP:
		return natOf(s.Src), s.SrcPort, s.Dst
	}
	return natOf(s.Src), s.NATPort(), s.Dst
}

// row begins a row of a log: time, uid and the tuple.
func (z *zeek) row(log int, s *Session, at, t int64) (*logFile, []byte, error) {
	f := z.files[log]
	if err := f.at(at); err != nil {
		return nil, nil, err
	}
	src, sport, dst := z.tuple(s)
	b := f.buf[:0]
	if z.json {
		b = append(b, `{"ts":`...)
		b = epoch(b, t)
		b = append(b, `,"uid":"`...)
		b = z.uid(b, s)
		b = append(b, `","id.orig_h":"`...)
		b = src.AppendTo(b)
		b = append(b, `","id.orig_p":`...)
		b = strconv.AppendInt(b, int64(sport), 10)
		b = append(b, `,"id.resp_h":"`...)
		b = dst.AppendTo(b)
		b = append(b, `","id.resp_p":`...)
		b = strconv.AppendInt(b, int64(s.DstPort), 10)
		if log == zeekConn || log == zeekDNS {
			b = append(b, `,"proto":"`...)
			b = append(b, protoName(s.Proto)...)
			b = append(b, '"')
		}
		return f, b, nil
	}
	b = epoch(b, t)
	b = append(b, '\t')
	b = z.uid(b, s)
	b = append(b, '\t')
	b = src.AppendTo(b)
	b = append(b, '\t')
	b = strconv.AppendInt(b, int64(sport), 10)
	b = append(b, '\t')
	b = dst.AppendTo(b)
	b = append(b, '\t')
	b = strconv.AppendInt(b, int64(s.DstPort), 10)
	if log == zeekConn || log == zeekDNS {
		b = append(b, '\t')
		b = append(b, protoName(s.Proto)...)
	}
	return f, b, nil
}

// end finishes a row.
func (z *zeek) end(f *logFile, b []byte, s *Session, t int64, kind string) error {
	if z.json {
		b = append(b, '}')
	}
	f.buf = append(b, '\n')
	return f.write(s, floorDiv(t, microsecond)*microsecond, kind)
}

// text appends a named string, num a named number, in either form. An empty
// string is unset.
func (z *zeek) text(b []byte, name, v string) []byte {
	if !z.json {
		if v == "" {
			return append(b, "\t-"...)
		}
		return append(append(b, '\t'), v...)
	}
	if v == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, `":"`...)
	b = append(b, v...)
	return append(b, '"')
}

func (z *zeek) num(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(z.key(b, name), v, 10)
}

func (z *zeek) key(b []byte, name string) []byte {
	if !z.json {
		return append(b, '\t')
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

func (z *zeek) flag(b []byte, name string, v bool) []byte {
	b = z.key(b, name)
	switch {
	case z.json && v:
		return append(b, "true"...)
	case z.json:
		return append(b, "false"...)
	case v:
		return append(b, 'T')
	}
	return append(b, 'F')
}

func (z *zeek) interval(b []byte, name string, v int64) []byte {
	return seconds(z.key(b, name), v)
}

// seconds appends nanoseconds as seconds with six decimals.
func seconds(b []byte, v int64) []byte {
	b = strconv.AppendInt(b, v/second, 10)
	return decimals(b, v%second, 6)
}

// unset appends n columns without a value.
func (z *zeek) unset(b []byte, n int) []byte {
	if z.json {
		return b
	}
	for range n {
		b = append(b, "\t-"...)
	}
	return b
}
