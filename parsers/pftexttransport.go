package parsers

import "bytes"

// openTCPFlags is the length of OpenBSD's flags at the start of b ("S", ".",
// "FP"), 0 if b does not begin so.
func openTCPFlags(b []byte) int {
	i := 0
	for i < len(b) && bytes.IndexByte([]byte("SFRPWE."), b[i]) >= 0 {
		i++
	}
	if i > 0 && i <= 8 && i == len(b) {
		return i // nothing else was printed, or it was cut off
	}
	if i == 0 || i > 8 || i+1 >= len(b) || b[i] != ' ' {
		return 0
	}
	rest := b[i+1:]
	if rest[0] >= '0' && rest[0] <= '9' {
		if j := bytes.IndexByte(rest[:min(len(rest), 12)], ':'); j > 0 && onlyDigits(rest[:j]) {
			return i
		}
	}
	for _, next := range [...]string{"ack ", "win ", "[", "<"} {
		if bytes.HasPrefix(rest, []byte(next)) {
			return i
		}
	}
	return 0
}

func (t *packetText) flags(b []byte) {
	if t.inner {
		t.put("flags", b)
	} else {
		t.ev.Flags = text(b)
	}
}

func (t *packetText) tcp(b []byte) {
	if n := openTCPFlags(b); n > 0 {
		t.flags(b[:n])
		t.openTCP(b[n:])
		return
	}
	if rest, ok := bytes.CutPrefix(b, []byte("tcp ")); ok {
		n, _ := word(rest)
		t.put("datalen", leadingDigits(n))
		return
	}
	for piece := range pieces(b) {
		name, value := word(piece)
		switch string(name) {
		case "Flags":
			t.flags(bytes.Trim(value, "[]"))
		case "seq", "ack", "urg":
			t.put(text(name), value)
		case "win":
			t.put("window", value)
		case "options":
			t.options(value)
		case "length":
			t.put("datalen", leadingDigits(value))
		}
	}
}

// options reads "[mss 1460,nop]", which "[|tcp]" cuts where the capture ends.
func (t *packetText) options(b []byte) {
	if i := bytes.Index(b, []byte("[|")); i >= 0 {
		t.put("error", b[i:])
		b = bytes.TrimRight(b[:i], " ")
	}
	t.put("options", bytes.Trim(b, "[]"))
}

// openTCP reads "1:29(28) ack 1 win 58 urg 3 <mss 1460,nop> (DF)".
func (t *packetText) openTCP(b []byte) {
	if i := bytes.IndexByte(b, '<'); i >= 0 {
		if j := bytes.IndexByte(b[i:], '>'); j > 0 {
			t.put("options", b[i+1:i+j])
		}
	}
	first, rest := word(b)
	if i := bytes.IndexByte(first, '('); i > 0 {
		t.put("seq", first[:i])
		t.put("datalen", bytes.TrimRight(first[i+1:], ")"))
		first, rest = word(rest)
	}
	for ; len(first) > 0; first, rest = word(rest) {
		switch string(first) {
		case "ack", "urg":
			value, _ := word(rest)
			t.put(text(first), leadingDigits(value))
		case "win":
			value, _ := word(rest)
			t.put("window", leadingDigits(value))
		}
		if first[0] == '<' || first[0] == '(' || first[0] == '[' {
			return
		}
	}
}

func (t *packetText) udp(b []byte) {
	if rest, ok := bytes.CutPrefix(b, []byte("udp ")); ok {
		n, _ := word(rest)
		t.put("payload_length", leadingDigits(n))
		return
	}
	if bytes.HasPrefix(b, []byte("UDP")) {
		t.length(b, "payload_length")
		return
	}
	t.question(b)
}

// question takes the name of a DNS question: "1234+ A? host.example. (30)".
func (t *packetText) question(b []byte) {
	if t.inner || t.ev.DstPort != 53 && t.ev.SrcPort != 53 && t.ev.DstPort != 5353 {
		return
	}
	i := bytes.Index(b, []byte("? "))
	if i < 2 || b[i-1] < 'A' || b[i-1] > 'Z' {
		return
	}
	name, _ := word(b[i+2:])
	if name = bytes.TrimSuffix(bytes.TrimRight(name, ","), []byte{'.'}); len(name) > 0 {
		t.ev.Host = text(name)
	}
}

// length takes ", length 64" at the outermost level.
func (t *packetText) length(b []byte, name string) {
	for piece := range pieces(b) {
		if first, value := word(piece); string(first) == "length" {
			t.put(name, leadingDigits(value))
			return
		}
	}
}
