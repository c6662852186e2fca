package parsers

import "strings"

// zeekLog is what the parsers know of one log: "conn", "dns" …
type zeekLog struct {
	path    string // as the log names itself, "" where it does not
	name    string // what its columns mean: the path if it is a known one, else guessed from the columns
	kind    string
	service string // the protocol the log is about
	conn    bool   // its column service is the analyser's word
	notice  bool
	server  bool // its column host is a server's address
}

// zeekServices are the logs about one protocol, by the word conn.log uses for it.
var zeekServices = map[string]string{
	"dns": "dns", "http": "http", "ssl": "ssl", "ssh": "ssh", "ftp": "ftp", "smtp": "smtp", "irc": "irc",
	"rdp": "rdp", "ntp": "ntp", "sip": "sip", "snmp": "snmp", "socks": "socks", "radius": "radius",
	"mysql": "mysql", "rfb": "rfb", "modbus": "modbus", "dnp3": "dnp3", "quic": "quic",
}

// newZeekLog makes the log named path (may be "") whose columns look like guess.
func newZeekLog(path, guess string) *zeekLog {
	l := &zeekLog{path: path, name: guess}
	lower := strings.ToLower(path)
	base := strings.TrimPrefix(lower, "open_")
	for _, more := range []string{"_red", "_agg", "_long"} { // reduced, aggregated and long-lived logs of Corelight
		base = strings.TrimSuffix(base, more)
	}
	if zeekKnown[base] {
		l.name = base
	}
	switch {
	case zeekPathName(path):
		l.kind = "zeek." + lower
	case guess != "":
		l.kind = "zeek." + guess
	default:
		l.kind = "zeek"
	}
	l.service = zeekServices[l.name]
	l.conn = l.name == "conn"
	l.notice = l.name == "notice"
	l.server = l.name == "known_services" || l.name == "known_certs"
	return l
}

// zeekPathName accepts names of logs: letters, digits, "_", "-" and ".".
func zeekPathName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// zeekGuesses names a log by columns that are always written or typical, most
// telling first. The columns are those of Bro 2.4 to Zeek 8.
var zeekGuesses = []struct{ log, columns string }{
	{"conn", "conn_state"},
	{"conn", "orig_ip_bytes resp_ip_bytes"},
	{"sip", "call_id"},
	{"sip", "request_path"},
	{"smtp", "helo"},
	{"smtp", "mailfrom"},
	{"smtp", "last_reply"},
	{"dns", "rejected"},
	{"dns", "qtype_name"},
	{"dns", "trans_id AA"},
	{"http", "response_body_len"},
	{"http", "method uri"},
	{"kerberos", "request_type"},
	{"quic", "client_initial_dcid"},
	{"ssh", "auth_attempts"},
	{"ssh", "kex_alg"},
	{"ssh", "auth_success"},
	{"ssl", "established"},
	{"ssl", "cipher"},
	{"ssl", "server_name"},
	{"x509", "certificate.serial"},
	{"x509", "certificate.subject"},
	{"files", "fuid seen_bytes"},
	{"signatures", "sig_id event_msg"},
	{"notice", "note actions"},
	{"notice", "note suppress_for"},
	{"notice", "note msg"},
	{"weird", "name notice"},
	{"weird", "name peer"},
	{"tunnel", "tunnel_type"},
	{"dhcp", "msg_types"},
	{"dhcp", "mac lease_time"},
	{"dhcp", "mac assigned_ip"},
	{"capture_loss", "percent_lost"},
	{"stats", "pkts_proc"},
	{"packet_filter", "node filter"},
	{"dce_rpc", "endpoint operation"},
	{"dce_rpc", "named_pipe"},
	{"smb_mapping", "share_type"},
	{"smb_cmd", "tree tree_service"},
	{"smb_files", "times.modified"},
	{"smb_files", "action path"},
	{"smb_files", "action name"},
	{"ntp", "stratum"},
	{"ntlm", "domainname"},
	{"ntlm", "server_nb_computer_name"},
	{"rdp", "security_protocol"},
	{"rdp", "keyboard_layout"},
	{"rdp", "cookie"},
	{"snmp", "community"},
	{"socks", "bound_p"},
	{"socks", "request_p"},
	{"software", "software_type"},
	{"known_services", "port_num port_proto"},
	{"known_certs", "issuer_subject"},
	{"pe", "is_exe"},
	{"ftp", "command reply_msg"},
	{"ftp", "data_channel.passive"},
	{"irc", "nick"},
	{"irc", "command value"},
	{"mysql", "cmd arg"},
	{"radius", "framed_addr"},
	{"radius", "connect_info"},
	{"radius", "mac result"},
	{"rfb", "client_major_version"},
	{"dpd", "analyzer failure_reason"},
	{"analyzer", "analyzer_kind"},
	{"intel", "seen.indicator"},
	{"dnp3", "fc_request"},
	{"syslog", "facility severity"},
	{"ocsp", "hashAlgorithm"},
	{"reporter", "level message location"},
	{"ldap_search", "base_object"},
	{"ldap", "message_id opcode"},
	{"modbus", "func"}, // many records name no exception
}

// zeekMarks is a set of columns that tell a log, a bit each.
type zeekMarks [2]uint64

func (m *zeekMarks) add(o zeekMarks) {
	m[0] |= o[0]
	m[1] |= o[1]
}

func (m zeekMarks) has(o zeekMarks) bool {
	return m[0]&o[0] == o[0] && m[1]&o[1] == o[1]
}

// The marks that every record or header is asked for, beside those of the guesses.
var zeekMarkOf, zeekGuessMarks, zeekKnown = zeekMarkTable()

// zeekMarkTable numbers the columns that zeekGuesses names.
func zeekMarkTable() (of map[string]zeekMarks, guesses []zeekMarks, known map[string]bool) {
	of = map[string]zeekMarks{}
	known = map[string]bool{"known_hosts": true, "loaded_scripts": true, "traceroute": true}
	for _, g := range zeekGuesses {
		known[g.log] = true
		var need zeekMarks
		for name := range strings.FieldsSeq(g.columns) {
			if _, seen := of[name]; !seen {
				n := len(of)
				var m zeekMarks
				m[n/64] = 1 << (n % 64)
				of[name] = m
			}
			need.add(of[name])
		}
		guesses = append(guesses, need)
	}
	return of, guesses, known
}

// zeekGuess names the log that has these columns, "" if none fits.
func zeekGuess(m zeekMarks) string {
	for i, need := range zeekGuessMarks {
		if m.has(need) {
			return zeekGuesses[i].log
		}
	}
	return ""
}
