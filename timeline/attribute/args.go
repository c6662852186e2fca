package attribute

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxArgs bounds the part of a call's arguments that is read.
const maxArgs = 64 << 10

// content is what a tool call's arguments say of the network.
type content struct {
	known      bool // there are arguments at all
	addrs      []netip.Addr
	ranges     [][2]netip.Addr // networks and ranges, first and last address
	names      []string        // anything with the form of a host name, lower case
	peers      int             // addresses, and names in the place of a peer (user@name, scheme://name)
	ports      []int64         // ports written as such
	families   familySet
	background bool // something is left running: nohup, &, screen, ssh -f …
}

// readArgs reads arguments, hostile text, as a shell command, as JSON that has
// commands in it, or as code: what matters are the words. A word that is base64
// of text is decoded once and read as well.
func readArgs(args string) content {
	c := content{known: strings.TrimSpace(args) != ""}
	if len(args) > maxArgs {
		args = args[:maxArgs]
	}
	text := jsonText(args)
	c.read(text)
	for _, word := range strings.FieldsFunc(text, notBase64) {
		if inner, ok := decodeText(word); ok {
			c.read(inner)
		}
	}
	return c
}

// ordinary reports content that no finding can match.
func (c *content) ordinary() bool {
	return len(c.addrs)+len(c.ranges)+len(c.names)+len(c.ports) == 0 && c.families == 0
}

// jsonText gives the strings of a JSON value, one a line, an array of strings
// as one command; text that is no JSON is returned as it is.
func jsonText(s string) string {
	trimmed := strings.TrimSpace(s)
	if trimmed == "" || trimmed[0] != '{' && trimmed[0] != '[' && trimmed[0] != '"' {
		return s
	}
	var v any
	if json.Unmarshal([]byte(trimmed), &v) != nil {
		return s
	}
	var b strings.Builder
	flatten(&b, v, 0)
	return b.String()
}

func flatten(b *strings.Builder, v any, depth int) {
	if depth > 16 {
		return
	}
	switch v := v.(type) {
	case string:
		// Arguments may hold JSON as a string, once more encoded.
		if depth < 4 && len(v) > 1 && (v[0] == '{' || v[0] == '[') {
			var inner any
			if json.Unmarshal([]byte(v), &inner) == nil {
				flatten(b, inner, depth+1)
				return
			}
		}
		b.WriteString(v)
		b.WriteByte('\n')
	case float64:
		b.WriteString(strconv.FormatFloat(v, 'f', -1, 64))
		b.WriteByte('\n')
	case []any:
		for _, x := range v {
			if s, ok := x.(string); ok {
				b.WriteString(s)
				b.WriteByte(' ')
			} else {
				flatten(b, x, depth+1)
			}
		}
		b.WriteByte('\n')
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			if _, number := v[k].(float64); number {
				b.WriteString(k + " ")
			}
			flatten(b, v[k], depth+1)
		}
	}
}

func notBase64(r rune) bool {
	return !(r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '+' || r == '/' || r == '=' || r == '-' || r == '_'))
}

// decodeText decodes a word of 16 characters or more that is base64 of plain text.
func decodeText(word string) (string, bool) {
	word = strings.TrimRight(word, "=")
	if len(word) < 16 || len(word)%4 == 1 {
		return "", false
	}
	enc := base64.RawStdEncoding
	if strings.ContainsAny(word, "-_") {
		enc = base64.RawURLEncoding
	}
	raw, err := enc.DecodeString(word)
	if err != nil || !utf8.Valid(raw) {
		return "", false
	}
	for _, r := range string(raw) {
		if r == utf8.RuneError || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return "", false
		}
	}
	return string(raw), true
}

// separates says where words end: shells, code and lists alike.
func separates(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune("'\"`(){}<>;|&,=$!\\", r)
}

func (c *content) read(text string) {
	lower := strings.ToLower(text)
	for _, m := range marks {
		if strings.Contains(lower, m.text) {
			c.families |= familyNamed(m.family)
			if m.peer != "" {
				c.names = append(c.names, m.peer)
			}
		}
	}
	for line := range strings.Lines(lower) {
		if leftRunning(line) {
			c.background = true
		}
	}
	for command := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == ';' || r == '|' }) {
		c.command(command)
	}
}

// command reads the words of one command.
func (c *content) command(text string) {
	secure := false // within an ssh command
	script := false // the next word is the file that an interpreter runs
	ports := false  // the word before is an option of ports, or one of its list
	last := ""      // the word before
	for w := range strings.FieldsFuncSeq(text, separates) {
		lower := strings.ToLower(w)
		program := lower[strings.LastIndexByte(lower, '/')+1:]
		if script && !strings.HasPrefix(w, "-") {
			script = false
			if hostName(lower) { // train.py and run.sh have the form of names
				last = lower
				continue
			}
		}
		script = interpreters[program] || script && lower != "-c" && lower != "-m"
		switch {
		case program == "ssh" || program == "ssh.exe":
			secure = true
		case secure && strings.HasPrefix(w, "-"):
			forwards, stays := sshOptions(w[1:])
			if forwards {
				c.families |= familyNamed("tunnel over SSH")
			}
			c.background = c.background || stays
		case secure && (lower == "remoteforward" || lower == "dynamicforward" || lower == "localforward"):
			c.families |= familyNamed("tunnel over SSH")
		}
		c.families |= familyOf(program)
		if ports = portOption(last) || ports; ports && c.portList(lower) {
			last = lower
			continue
		}
		ports = false
		c.word(lower, last)
		last = lower
	}
}

// interpreters run the file that is their first argument.
var interpreters = map[string]bool{
	"bash": true, "sh": true, "zsh": true, "dash": true, "python": true, "python2": true, "python3": true, "perl": true, "ruby": true, "node": true, "source": true,
}

// sshOptions reads a bundle of short options, "fNR8080:…": whether it asks for a
// forwarding, and whether for a session that stays. An option that takes a
// value ends the bundle; for -o the value is an option of its own.
func sshOptions(bundle string) (forwards, stays bool) {
	for i, o := range bundle {
		switch {
		case strings.ContainsRune("RDLw", o):
			return true, stays
		case o == 'f' || o == 'N':
			stays = true
		case o == 'o':
			value := strings.ToLower(bundle[i+1:])
			return strings.HasPrefix(value, "remoteforward") || strings.HasPrefix(value, "dynamicforward") || strings.HasPrefix(value, "localforward"), stays
		case !unicode.IsLetter(o) || strings.ContainsRune("BbcEeFIiJlmOpPQSW", o):
			return false, stays
		}
	}
	return false, stays
}

// leftRunning reports whether a line of shell starts something that outlives it.
func leftRunning(line string) bool {
	words := strings.FieldsFunc(line, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("'\"`();", r) })
	for i, w := range words {
		switch w[strings.LastIndexByte(w, '/')+1:] {
		case "nohup", "setsid", "disown", "daemonize", "systemd-run", "crontab", "autossh", "start-stop-daemon":
			return true
		case "screen", "tmux":
			rest := strings.Join(words[i+1:], " ")
			if strings.Contains(rest, "-d") || strings.Contains(rest, "new") {
				return true
			}
		case "docker", "podman":
			if i+1 < len(words) && words[i+1] == "run" && slices.ContainsFunc(words[i+2:], func(o string) bool { return o == "-d" || o == "--detach" || o == "-dit" }) {
				return true
			}
		}
		// A single & at the end of a word: not &&, not 2>&1, not &>.
		if strings.HasSuffix(w, "&") && !strings.HasSuffix(w, "&&") && !strings.HasSuffix(w, ">&") {
			return true
		}
	}
	return strings.Contains(line, "start_new_session") || strings.Contains(line, "popen") && !strings.Contains(line, ".wait(")
}

// word reads one word: scheme, user and path go, and what is left may be an
// address, a network, a range, a name, with or without a port.
func (c *content) word(w, last string) {
	if r, ok := patternRange(bare(w)); ok {
		c.ranges = append(c.ranges, r)
		c.peers++
		return
	}
	if w = strings.TrimRight(w, ".:"); w == "" {
		return
	}
	if rest, ok := strings.CutPrefix(w, "-p"); ok && c.port(rest) {
		return
	}
	peer := false
	if i := strings.Index(w, "://"); i >= 0 {
		w, peer = w[i+3:], true
	}
	if i := strings.LastIndexByte(w, '@'); i >= 0 {
		w, peer = w[i+1:], true
	}
	if p, err := netip.ParsePrefix(w); err == nil && p.Bits() < p.Addr().BitLen() {
		c.ranges = append(c.ranges, [2]netip.Addr{p.Masked().Addr(), lastOf(p)})
		c.peers++
		return
	}
	if r, ok := addressRange(w); ok {
		c.ranges = append(c.ranges, r)
		c.peers++
		return
	}
	if host, port, ok := devTCP(w); ok {
		w = host
		c.port(port)
		peer = true
	} else if i := strings.IndexAny(w, "/?#"); i >= 0 {
		w = w[:i]
	}
	c.endpoint(w, last, peer)
}

// bare takes scheme, user and the shell's socket path off a word.
func bare(w string) string {
	if i := strings.Index(w, "://"); i >= 0 {
		w = w[i+3:]
	}
	if i := strings.LastIndexByte(w, '@'); i >= 0 {
		w = w[i+1:]
	}
	if rest, ok := strings.CutPrefix(w, "/dev/tcp/"); ok {
		return rest
	}
	return strings.TrimPrefix(w, "/dev/udp/")
}

// endpoint reads what is left of a word: an address or a name, with or without
// a port, the specification of a forwarding, or the port of the word before.
func (c *content) endpoint(w, last string, peer bool) {
	if a, err := netip.ParseAddrPort(w); err == nil {
		c.address(a.Addr())
		if a.Port() != 0 {
			c.ports = append(c.ports, int64(a.Port()))
		}
		return
	}
	if a, err := netip.ParseAddr(strings.Trim(w, "[]")); err == nil {
		c.address(a)
		return
	}
	if strings.Count(w, ":") > 1 { // the specification of a forwarding: 8080:localhost:22, 0.0.0.0:4444:10.0.0.1:22
		for part := range strings.SplitSeq(w, ":") {
			if a, err := netip.ParseAddr(part); err == nil && !a.IsLoopback() && !a.IsUnspecified() {
				c.address(a)
			} else {
				c.port(part)
			}
		}
		return
	}
	host, port, hasPort := strings.Cut(w, ":")
	if hasPort && host != "" && !strings.Contains(host, ".") { // localhost:8443, a service's name
		c.port(port)
		return
	}
	if hostName(host) {
		c.names = append(c.names, host)
		if hasPort && c.port(port) || peer {
			c.peers++
		}
		return
	}
	// "nc host 4444", connect(("host", 4444)): a number after a peer is its port.
	if w != "" && w[0] >= '0' && w[0] <= '9' && looksPeer(last) {
		c.port(w)
	}
}

func (c *content) address(a netip.Addr) {
	a = a.Unmap().WithZone("")
	c.addrs = append(c.addrs, a)
	if !a.IsLoopback() && !a.IsUnspecified() {
		c.peers++
	}
	if metadataHosts[a.String()] {
		c.families |= familyNamed("metadata service")
	}
}

func (c *content) port(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return false
	}
	c.ports = append(c.ports, int64(n))
	return true
}

// portOption reports an option whose value is a port, or a list of ports.
func portOption(w string) bool {
	switch strings.TrimLeft(w, "-") {
	case "p", "port", "ports", "rport", "rports", "dport", "dports":
		return true
	}
	return false
}

// portList reads a word of a list of ports (lists are split at commas): "22", or
// "1-1024", of which the bounds are kept.
func (c *content) portList(s string) bool {
	low, high, isRange := strings.Cut(s, "-")
	ok := c.port(low)
	if isRange {
		c.port(high)
	}
	return ok
}

func looksPeer(w string) bool {
	w = w[strings.LastIndexByte(w, '@')+1:]
	_, err := netip.ParseAddr(w)
	return err == nil || hostName(w)
}

// devTCP takes the shell's own sockets apart: /dev/tcp/HOST/PORT.
func devTCP(w string) (host, port string, ok bool) {
	rest, tcp := strings.CutPrefix(w, "/dev/tcp/")
	if !tcp {
		if rest, tcp = strings.CutPrefix(w, "/dev/udp/"); !tcp {
			return "", "", false
		}
	}
	return strings.Cut(rest, "/")
}

// addressRange reads the scanners' "10.20.3.1-254" and "10.20.3.1-10.20.3.9".
func addressRange(w string) (r [2]netip.Addr, ok bool) {
	low, high, found := strings.Cut(w, "-")
	if !found {
		return r, false
	}
	from, err := netip.ParseAddr(low)
	if err != nil || !from.Is4() {
		return r, false
	}
	to, err := netip.ParseAddr(high)
	if err != nil {
		n, err := strconv.ParseUint(high, 10, 8)
		if err != nil {
			return r, false
		}
		b := from.As4()
		b[3] = byte(n)
		to = netip.AddrFrom4(b)
	}
	return [2]netip.Addr{from, to}, from.Compare(to) <= 0
}

// patternRange reads an address whose last numbers a loop fills in: "10.42.1." as
// shells and format strings leave it before $i or {i}, "10.42.1.%d", "10.42.%d.%d".
// A bare beginning needs three numbers, for "2.1." may end a sentence.
func patternRange(w string) (r [2]netip.Addr, ok bool) {
	var octets [4]byte
	n, rest := 0, w
	for n < 3 {
		head, tail, found := strings.Cut(rest, ".")
		v, err := strconv.ParseUint(head, 10, 8)
		if !found || err != nil {
			break
		}
		octets[n], rest = byte(v), tail
		n++
	}
	if n < 2 || rest == "" && n < 3 || rest != "" && rest[0] != '%' {
		return r, false
	}
	p, err := netip.AddrFrom4(octets).Prefix(8 * n)
	return [2]netip.Addr{p.Addr(), lastOf(p)}, err == nil
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// hostName reports the form of a full host name: two labels or more, the last
// of letters or of letters and digits that is no number.
func hostName(s string) bool {
	if len(s) < 4 || len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	top := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			ch := label[i]
			if !(ch >= 'a' && ch <= 'z' || ch >= '0' && ch <= '9' || ch == '-' || ch == '_') {
				return false
			}
		}
		top = label
	}
	return len(top) > 1 && top[0] >= 'a' && top[0] <= 'z'
}

// covers reports whether a name is the other or a parent of it, at the
// boundary of a label; a top-level domain covers nothing.
func covers(parent, name string) bool {
	if !strings.Contains(parent, ".") {
		return false
	}
	return name == parent || strings.HasSuffix(name, "."+parent)
}
