package parsers

import (
	"bytes"
	"strings"

	"firetrail"
)

// finishURL puts the column that holds an URL, a file name or a DNS name where
// it belongs, by subtype. The scanners of content write a bare file name, or the
// URL that it was fetched from.
func (p *panParser) finishURL(ev *firetrail.Event) {
	u := p.url
	is := func(subtype string) bool { return strings.EqualFold(text(p.subtype), subtype) }
	slash := bytes.IndexByte(u, '/') >= 0
	switch {
	case len(u) == 0:
	case is("url"), slash && (len(p.subtype) == 0 || is("vulnerability") || is("spyware") || panFetched(u)):
		ev.URL = text(u)
		if ev.Host == "" {
			ev.Host = hostOf(u)
		}
	default:
		ev.Put("url_filename", text(u))
		if ev.App == "dns" || strings.HasPrefix(ev.App, "dns-") { // dns-base since App-ID 8.5
			ev.Host = hostOf(u)
		}
	}
	if ev.Host == "" && len(p.threat) > 0 {
		ev.Host = threatHost(p.threat)
	}
}

// panFetched reports whether a file name is an URL: a dotted name or an address
// stands in front of its first slash.
func panFetched(u []byte) bool {
	host, _, _ := bytes.Cut(u, []byte{'/'})
	if bytes.HasSuffix(host, []byte{':'}) {
		return bytes.HasPrefix(u[len(host):], []byte("//"))
	}
	_, isAddr := address(host)
	return isAddr || bytes.IndexByte(host, '.') > 0 && hostOf(host) != ""
}

// hostOf is the host name of an URL with or without scheme, user and port; "" if
// it is an address or no name at all.
func hostOf(u []byte) string {
	if i := bytes.Index(u, []byte("://")); i >= 0 && i < 16 {
		u = u[i+3:]
	}
	if i := bytes.IndexAny(u, "/?#"); i >= 0 {
		u = u[:i]
	}
	if i := bytes.LastIndexByte(u, '@'); i >= 0 {
		u = u[i+1:]
	}
	if i := bytes.LastIndexByte(u, ':'); i >= 0 {
		if _, ok := port(u[i+1:]); !ok && i+1 < len(u) {
			return ""
		}
		u = u[:i]
	}
	u = bytes.TrimSuffix(u, []byte{'.'})
	if !hostName(u) {
		return ""
	}
	return text(u)
}

// hostName reports whether b can be a name of a host and is no address.
func hostName(b []byte) bool {
	if len(b) == 0 || len(b) > 253 {
		return false
	}
	letter := false
	for _, c := range b {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80:
			letter = true
		case c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' || c == '*':
		default:
			return false
		}
	}
	return letter
}

// threatHost is the name in a DNS threat: "Suspicious DNS Query (generic:NAME)(ID)",
// "Phishing:NAME(ID)", "DGA:NAME(ID)", and without the ID in JSON.
func threatHost(b []byte) string {
	if i := bytes.LastIndexByte(b, '('); i >= 0 {
		b = bytes.TrimSuffix(bytes.TrimSpace(b[:i]), []byte{')'})
	}
	i := bytes.LastIndexByte(b, ':')
	if i < 0 {
		return ""
	}
	word := b[:i]
	if j := bytes.LastIndexByte(word, '('); j >= 0 {
		word = word[j+1:]
	}
	if bytes.ContainsAny(word, " :") || bytes.IndexByte(b[i+1:], '.') < 0 {
		return ""
	}
	return hostOf(b[i+1:])
}
