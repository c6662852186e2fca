package parsers

import "bytes"

// icmpWords gives type and code for tcpdump's words; code is -1 where the words
// do not tell. The first that the text contains counts.
var icmpWords = [...]struct {
	words      string
	kind, code string
}{
	{"echo request", "8", "0"}, {"echo reply", "0", "0"},
	{"udp port ", "3", "3"}, {"tcp port ", "3", "3"}, {"protocol ", "3", "2"}, {"need to frag", "3", "4"}, {"source route failed", "3", "5"},
	{"time exceeded in-transit", "11", "0"}, {"ip reassembly time exceeded", "11", "1"}, {"time exceeded", "11", ""},
	{"redirect", "5", ""}, {"source quench", "4", "0"}, {"parameter problem", "12", ""},
	{"router advertisement", "9", ""}, {"router solicitation", "10", "0"}, {"time stamp request", "13", "0"}, {"time stamp query", "13", "0"}, {"time stamp reply", "14", "0"},
	{"information request", "15", "0"}, {"information reply", "16", "0"}, {"address mask request", "17", "0"}, {"address mask is", "18", "0"},
	{"net ", "3", ""}, {"host ", "3", ""}, {"unreachable", "3", ""},
}

var icmp6Words = [...]struct {
	words      string
	kind, code string
}{
	{"echo request", "128", "0"}, {"echo reply", "129", "0"},
	{"neighbor solicitation", "135", "0"}, {"neighbor sol", "135", "0"}, {"neighbor advertisement", "136", "0"}, {"neighbor adv", "136", "0"},
	{"router solicitation", "133", "0"}, {"router advertisement", "134", "0"}, {"redirect", "137", "0"},
	{"multicast listener query", "130", "0"}, {"multicast listener report v2", "143", "0"}, {"multicast listener report", "131", "0"}, {"multicast listener done", "132", "0"},
	{"packet too big", "2", "0"}, {"time exceeded in-transit", "3", "0"}, {"time exceeded", "3", ""}, {"parameter problem", "4", ""},
	{"unreachable port", "1", "4"}, {"udp port ", "1", "4"}, {"tcp port ", "1", "4"}, {"unreachable prohibited", "1", "1"}, {"unreachable route", "1", "0"}, {"unreachable address", "1", "3"}, {"unreachable", "1", ""},
}

// icmp reads "ICMP echo request, id 540, seq 1, length 64", "ICMP6, neighbor
// solicitation, who has 2001:db8::22, length 24", "icmp: echo request".
func (t *packetText) icmp(b []byte, v6 bool) {
	words := b
	if i := bytes.Index(b, []byte("ICMP6, ")); i >= 0 { // behind a checksum
		words = b[i+len("ICMP6, "):]
	} else if i := bytes.IndexByte(b, ' '); i > 0 {
		words = b[i+1:]
	}
	if i := bytes.LastIndex(words, []byte(", length ")); i > 0 {
		words = words[:i]
	}
	if !bytes.HasPrefix(b, []byte("[|")) {
		t.put("icmp_text", words)
		t.icmpType(words, v6)
	}
	for piece := range pieces(b) {
		name, value := word(piece)
		switch string(name) {
		case "id":
			t.put("icmp_id", value)
		case "seq":
			t.put("icmp_seq", value)
		case "length":
			t.put("datalen", leadingDigits(value))
		}
		if _, target, ok := bytes.Cut(piece, []byte("who has ")); ok {
			target, _ = word(target)
			t.put("icmp_target", target)
		}
		if _, mtu, ok := bytes.Cut(piece, []byte("(mtu ")); ok {
			t.put("icmp_mtu", leadingDigits(mtu))
		}
	}
}

func (t *packetText) icmpType(words []byte, v6 bool) {
	table := icmpWords[:]
	if v6 {
		table = icmp6Words[:]
	}
	for i := range table {
		w := &table[i]
		if bytes.Contains(words, []byte(w.words)) {
			t.put("icmp_type", []byte(w.kind))
			t.put("icmp_code", []byte(w.code))
			return
		}
	}
}
