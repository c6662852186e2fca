package simulate

import "strconv"

// connState is Zeek's conn_state and history of a session.
func connState(s *Session) (state, history string) {
	switch s.Proto {
	case UDP, ICMP:
		switch {
		case s.Outcome != Done:
			return "S0", "D"
		case s.Proto == ICMP:
			return "OTH", "-"
		case s.In == 0:
			return "S0", "D"
		}
		return "SF", "Dd"
	}
	switch s.Outcome {
	case NoAnswer, Denied:
		return "S0", "S"
	case Refused:
		return "REJ", "Sr"
	case Torn:
		return "RSTR", "ShADadr"
	case Hanging:
		return "S1", "ShADad"
	}
	return "SF", "ShADadFf"
}

// serviceName is what Zeek's analysers say.
func serviceName(s *Session) string {
	if !s.spoke() {
		return ""
	}
	switch s.App {
	case AppDNS:
		return "dns"
	case AppTLS:
		return "ssl"
	case AppSSH:
		return "ssh"
	case AppHTTP:
		return "http"
	case AppNTP:
		return "ntp"
	case AppTor:
		return "ssl"
	}
	return ""
}

// ended writes the row of conn.
func (z *zeek) ended(s *Session, t int64) error {
	if z.sim.harms.silent(z.sees, t) {
		return nil
	}
	begun := z.clock.read(s.Start)
	f, b, err := z.row(zeekConn, s, z.clock.read(t), begun)
	if err != nil {
		return err
	}
	b = z.text(b, "service", serviceName(s))
	answered := s.spoke() || s.PktsIn > 0
	if answered || s.PktsOut > 1 {
		b = z.interval(b, "duration", s.Duration)
		b = z.num(b, "orig_bytes", s.Out)
		b = z.num(b, "resp_bytes", s.In)
	} else {
		b = z.unset(b, 3)
	}
	state, history := connState(s)
	b = z.text(b, "conn_state", state)
	b = z.flag(b, "local_orig", s.from != internet)
	b = z.flag(b, "local_resp", s.to != internet)
	b = z.num(b, "missed_bytes", 0)
	if history == "-" {
		history = ""
	}
	b = z.text(b, "history", history)
	b = z.num(b, "orig_pkts", s.PktsOut)
	b = z.num(b, "orig_ip_bytes", s.ipBytes(s.Out, s.PktsOut))
	b = z.num(b, "resp_pkts", s.PktsIn)
	b = z.num(b, "resp_ip_bytes", s.ipBytes(s.In, s.PktsIn))
	b = z.unset(b, 1)
	return z.end(f, b, s, begun, "zeek.conn")
}

// began writes the analyser's row.
func (z *zeek) began(s *Session, t int64) error {
	if s.analysed() == 0 || z.sim.harms.silent(z.sees, t) {
		return nil
	}
	switch s.App {
	case AppDNS:
		return z.dns(s, t)
	case AppTLS:
		return z.ssl(s, t)
	case AppSSH:
		return z.ssh(s, t)
	}
	return z.http(s, t)
}

// queryTypes are the names of DNS types.
func queryType(n uint16) string {
	switch n {
	case 1:
		return "A"
	case 5:
		return "CNAME"
	case 10:
		return "NULL"
	case 15:
		return "MX"
	case 16:
		return "TXT"
	case 25:
		return "KEY"
	case 28:
		return "AAAA"
	case 33:
		return "SRV"
	}
	return "query-" + strconv.Itoa(int(n))
}

func (z *zeek) dns(s *Session, t int64) error {
	at := z.clock.read(t)
	f, b, err := z.row(zeekDNS, s, at, at)
	if err != nil {
		return err
	}
	b = z.num(b, "trans_id", int64(s.ipID()))
	if s.Outcome == Done {
		b = z.interval(b, "rtt", s.Duration)
	} else {
		b = z.unset(b, 1)
	}
	b = z.text(b, "query", s.Name)
	b = z.num(b, "qclass", 1)
	b = z.text(b, "qclass_name", "C_INTERNET")
	b = z.num(b, "qtype", int64(s.Query))
	b = z.text(b, "qtype_name", queryType(s.Query))
	switch {
	case s.Outcome != Done:
		b = z.unset(b, 2)
	case s.NX:
		b = z.text(z.num(b, "rcode", 3), "rcode_name", "NXDOMAIN")
	default:
		b = z.text(z.num(b, "rcode", 0), "rcode_name", "NOERROR")
	}
	b = z.flag(b, "AA", false)
	b = z.flag(b, "TC", false)
	b = z.flag(b, "RD", true)
	b = z.flag(b, "RA", s.Outcome == Done)
	b = z.num(b, "Z", 0)
	switch {
	case s.Outcome != Done || s.NX || !s.Answer.IsValid() && s.Query <= 28 && s.Query != 10 && s.Query != 16 && s.Query != 25 && s.Query != 15 && s.Query != 5:
		b = z.unset(b, 2)
	case z.json:
		b = append(b, `,"answers":["`...)
		b = z.answer(b, s)
		b = append(b, `"],"TTLs":[300.0]`...)
	default:
		b = append(b, '\t')
		b = z.answer(b, s)
		b = append(b, "\t300.000000"...)
	}
	b = z.flag(b, "rejected", false)
	return z.end(f, b, s, at, "zeek.dns")
}

// answer appends the address, or for other types the text that a tunnel's server sends.
func (z *zeek) answer(b []byte, s *Session) []byte {
	if s.Answer.IsValid() {
		return s.Answer.AppendTo(b)
	}
	n := min(200, max(12, s.In-s.Out))
	h := mix(s.Seq ^ 0xd25)
	b = append(b, "TXT "...)
	b = strconv.AppendInt(b, n, 10)
	b = append(b, ' ')
	for i := int64(0); i < n; i++ {
		if h == 0 || i%12 == 11 {
			h = mix(s.Seq + uint64(i))
		}
		b = append(b, hexDigits[h&15])
		h >>= 4
	}
	return b
}

func (z *zeek) ssl(s *Session, t int64) error {
	at := z.clock.read(t) + 11*millisecond
	f, b, err := z.row(zeekSSL, s, at, at)
	if err != nil {
		return err
	}
	b = z.text(b, "version", "TLSv13")
	b = z.text(b, "cipher", "TLS_AES_256_GCM_SHA384")
	b = z.text(b, "curve", "x25519")
	b = z.text(b, "server_name", s.Name)
	b = z.flag(b, "resumed", false)
	b = z.unset(b, 1)
	b = z.text(b, "next_protocol", "h2")
	b = z.flag(b, "established", true)
	b = z.text(b, "ssl_history", "CsiI")
	// With TLS 1.3 the certificates are encrypted: no sensor sees them.
	b = z.unset(b, 3)
	return z.end(f, b, s, at, "zeek.ssl")
}

func (z *zeek) ssh(s *Session, t int64) error {
	at := z.clock.read(t) + 9*millisecond
	f, b, err := z.row(zeekSSH, s, at, at)
	if err != nil {
		return err
	}
	b = z.num(b, "version", 2)
	// A session with hardly any bytes is a login that failed.
	b = z.flag(b, "auth_success", s.In > 3000 || s.Out > 3000)
	b = z.num(b, "auth_attempts", 1)
	switch {
	case s.from != internet && s.to == internet:
		b = z.text(b, "direction", "OUTBOUND")
	case s.from == internet:
		b = z.text(b, "direction", "INBOUND")
	default:
		b = z.unset(b, 1)
	}
	b = z.text(b, "client", "SSH-2.0-OpenSSH_9.6")
	b = z.text(b, "server", "SSH-2.0-OpenSSH_9.2p1")
	b = z.text(b, "cipher_alg", "chacha20-poly1305@openssh.com")
	b = z.text(b, "mac_alg", "umac-64-etm@openssh.com")
	b = z.text(b, "compression_alg", "none")
	b = z.text(b, "kex_alg", "curve25519-sha256")
	b = z.text(b, "host_key_alg", "ssh-ed25519")
	b = z.unset(b, 1)
	return z.end(f, b, s, at, "zeek.ssh")
}

func (z *zeek) http(s *Session, t int64) error {
	at := z.clock.read(t) + 6*millisecond
	f, b, err := z.row(zeekHTTP, s, at, at)
	if err != nil {
		return err
	}
	b = z.num(b, "trans_depth", 1)
	b = z.text(b, "method", "GET")
	b = z.text(b, "host", s.Name)
	b = z.text(b, "uri", s.uri())
	b = z.unset(b, 1)
	b = z.text(b, "version", "1.1")
	if s.Upgrade {
		// The bodies of a websocket are none: Zeek counts nothing behind the upgrade.
		b = z.text(b, "user_agent", "Go-http-client/1.1")
		b = z.unset(b, 1)
		b = z.num(b, "request_body_len", 0)
		b = z.num(b, "response_body_len", 0)
		b = z.num(b, "status_code", 101)
		b = z.text(b, "status_msg", "Switching Protocols")
	} else {
		b = z.text(b, "user_agent", "python-requests/2.31")
		b = z.unset(b, 1)
		b = z.num(b, "request_body_len", max(0, s.Out-300))
		b = z.num(b, "response_body_len", max(0, s.In-250))
		b = z.num(b, "status_code", 200)
		b = z.text(b, "status_msg", "OK")
	}
	b = z.unset(b, 2)
	if z.json {
		b = append(b, `,"tags":[]`...)
	} else {
		b = append(b, "\t(empty)"...)
	}
	b = z.unset(b, 3)
	return z.end(f, b, s, at, "zeek.http")
}
