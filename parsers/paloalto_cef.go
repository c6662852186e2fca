package parsers

import (
	"bytes"

	"firetrail"
)

// panPair is one key=value of a CEF extension.
type panPair struct {
	key, value []byte
}

// panMostPairs bounds a record of keys and values.
const panMostPairs = 1024

// readCEF reads "CEF:0|Palo Alto Networks|PAN-OS|version|…|…|severity|extension".
// The firewall's formats are templates that users edit: the log type stands as
// the event id or as the name of the header, the subtype as the other one.
func (p *panParser) readCEF(b []byte, ev *firetrail.Event) error {
	var head [7][]byte
	rest := b
	for i := range head {
		n := unescapedPipe(rest)
		if n < 0 {
			p.kind = panSystem
			return reject(p.at(b)+len(b), "CEF header with %d of 7 fields", i)
		}
		head[i], rest = rest[:n], rest[n+1:]
	}
	p.dialect = panCEF
	if string(head[2]) == "LF" {
		p.dialect = panCEFStrata
	}
	if err := p.headerType(head[4], head[5]); err != nil {
		return err
	}
	ev.Put("severity", text(head[6]))
	ev.Put("version", text(head[3]))
	if len(p.subtype) > 0 {
		ev.Put(p.kind.own(panColumn{"threat_content_type", panSubtype}).name, text(p.subtype))
	}
	p.pairs = cefPairs(rest, p.pairs[:0])
	if len(p.pairs) > panMostPairs {
		return reject(0, "CEF with more than %d keys", panMostPairs)
	}
	for _, pair := range p.pairs {
		if string(pair.key) == "dtz" {
			p.utc = string(pair.value) == "UTC" || string(pair.value) == "GMT"
		}
	}
	return p.setPairs(ev)
}

// headerType finds the log type in the event id and the name of a header.
func (p *panParser) headerType(id, name []byte) error {
	for _, pair := range [...][2][]byte{{id, name}, {name, id}} {
		if k := panTypeNamed(pair[0]); k != nil && !panThreatSubtype(pair[0]) && (k != panTunnel || panTypeNamed(pair[1]) == nil) {
			p.kind, p.subtype = k, pair[1]
			return nil
		}
	}
	for _, word := range [...][]byte{id, name} {
		if panThreatSubtype(word) {
			p.kind, p.subtype = panThreatType, word
			return nil
		}
	}
	if before, after, found := bytes.Cut(id, []byte{'/'}); found && panTypeNamed(before) != nil { // "threat/virus"
		p.kind, p.subtype = panTypeNamed(before), after
		return nil
	}
	return reject(p.at(id), "unknown PAN-OS log type %q, %q", id[:min(len(id), 64)], name[:min(len(name), 64)])
}

// setPairs puts the gathered pairs into the event.
func (p *panParser) setPairs(ev *firetrail.Event) error {
	for _, pair := range p.pairs {
		v := p.cefValue(pair.value)
		if blank(v) || p.labelled(pair.key) {
			continue
		}
		if label := p.label(pair.key); label != nil {
			pair.key = label
		}
		if err := p.setKey(ev, pair.key, v); err != nil {
			return err
		}
	}
	return nil
}

// setKey puts one key and its value into the event.
func (p *panParser) setKey(ev *firetrail.Event, key, v []byte) error {
	c, ok := p.keyOf(key)
	if !ok {
		ev.Put(text(key), text(v))
		return nil
	}
	c = p.kind.own(c)
	if p.dialect != panJSON && c.role == panURL { // templates have request="$misc"
		v = bytes.TrimSuffix(bytes.TrimPrefix(v, []byte{'"'}), []byte{'"'})
		if blank(v) {
			return nil
		}
	}
	return p.set(ev, c, v)
}

// keyOf finds the column of a key. The few keys that mean different things in
// the dialects come first. In CEF, "in" flows from the source to the
// destination, and so PAN-OS fills it with the bytes sent; Strata does the reverse.
func (p *panParser) keyOf(key []byte) (panColumn, bool) {
	if p.dialect == panCEF || p.dialect == panCEFStrata {
		if name := panCEFNames[p.kind.name][string(key)]; name != "" {
			return panColumn{name, panRoles[name]}, true
		}
		sent, received := panColumn{"bytes_sent", panBytesOut}, panColumn{"bytes_received", panBytesIn}
		switch string(key) {
		case "in":
			if p.dialect == panCEF {
				return sent, true
			}
			return received, true
		case "out":
			if p.dialect == panCEF {
				return received, true
			}
			return sent, true
		case "rt":
			return panColumn{"receive_time", panReceive}, true
		case "start":
			return panColumn{"generated_time", panGenerated}, true
		case "reason":
			if p.kind == panTraffic || p.kind == panTunnel {
				return panColumn{"session_end_reason", panReason}, true
			}
		case "cat":
			if p.kind == panThreatType {
				return panColumn{"threat_id", panThreat}, true
			}
			return panColumn{"action_source", panPlain}, p.kind == panTraffic
		case "filePath":
			return panColumn{}, false
		}
	}
	return panKey(key)
}

// panCEFNames are the keys that the vendor's CEF templates for SYSTEM and CONFIG
// use for other columns than elsewhere.
var panCEFNames = map[string]map[string]string{
	"SYSTEM": {"cat": "event_id", "msg": "description", "fname": "object"},
	"CONFIG": {"act": "command", "duser": "admin", "dvchost": "host", "destinationServiceName": "client", "msg": "configuration_path"},
}

// label is the text of the pair keyLabel=text, which names a custom field: cs1,
// cn1, c6a2, flexString1.
func (p *panParser) label(key []byte) []byte {
	if len(key) == 0 || key[len(key)-1] < '0' || key[len(key)-1] > '9' {
		return nil
	}
	for _, pair := range p.pairs {
		if n := len(pair.key) - len("Label"); n == len(key) && string(pair.key[n:]) == "Label" && bytes.Equal(pair.key[:n], key) && len(pair.value) > 0 {
			return pair.value
		}
	}
	return nil
}

// labelled reports whether a key only labels another one that is there.
func (p *panParser) labelled(key []byte) bool {
	base, ok := bytes.CutSuffix(key, []byte("Label"))
	if !ok {
		return false
	}
	for _, pair := range p.pairs {
		if bytes.Equal(pair.key, base) {
			return true
		}
	}
	return false
}

// cefPairs splits an extension. A value ends before the last word in front of the
// next "=" that has no backslash; that word is the key. Values may hold blanks.
func cefPairs(b []byte, pairs []panPair) []panPair {
	value := -1 // where the value of the last pair starts
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' {
			i++
			continue
		}
		if b[i] != '=' {
			continue
		}
		key := i
		for key > 0 && keyByte(b[key-1]) {
			key--
		}
		if key == i || key > 0 && b[key-1] != ' ' && b[key-1] != '\t' || key < value {
			continue // an "=" inside a value
		}
		if n := len(pairs); n > 0 {
			pairs[n-1].value = bytes.TrimSpace(b[value:max(value, key)])
		}
		if len(pairs) > panMostPairs {
			return pairs
		}
		pairs = append(pairs, panPair{key: b[key:i]})
		value = i + 1
	}
	if n := len(pairs); n > 0 {
		pairs[n-1].value = bytes.TrimSpace(b[value:])
	}
	return pairs
}

func keyByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
}

// cefValue undoes the escapes of CEF and LEEF values: \=, \|, \\, \" and \n.
// A backslash before anything else stands for itself.
func (p *panParser) cefValue(v []byte) []byte {
	if p.dialect == panLEEF || bytes.IndexByte(v, '\\') < 0 {
		return v
	}
	out := p.ctx.Arena.Make(len(v))
	n := 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c == '\\' && i+1 < len(v) {
			switch v[i+1] {
			case '=', '|', '\\', '"':
				i++
				c = v[i]
			}
		}
		out[n] = c
		n++
	}
	return out[:n:n]
}

// unescapedPipe finds the next "|" without a backslash.
func unescapedPipe(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '|':
			return i
		}
	}
	return -1
}

// readLEEF reads "LEEF:1.0|Palo Alto Networks|product|version|event id|attributes"
// and LEEF 2.0, which may name the delimiter of its attributes behind the event
// id. LEEF says TAB; PAN-OS templates use "|".
func (p *panParser) readLEEF(b []byte, ev *firetrail.Event) error {
	p.dialect = panLEEF
	p.kind = panSystem
	var head [5][]byte
	rest := b
	for i := range head {
		n := bytes.IndexByte(rest, '|')
		if n < 0 {
			return reject(p.at(b)+len(b), "LEEF header with %d of 5 fields", i)
		}
		head[i], rest = rest[:n], rest[n+1:]
	}
	delimiter, rest := leefDelimiter(rest, string(head[0]) == "LEEF:2.0")
	if delimiter == ' ' {
		p.pairs = cefPairs(rest, p.pairs[:0])
	} else {
		p.pairs = leefPairs(rest, delimiter, p.pairs[:0])
	}
	if len(p.pairs) > panMostPairs {
		return reject(0, "LEEF with more than %d keys", panMostPairs)
	}
	if err := p.leefType(head[4]); err != nil {
		return err
	}
	ev.Put("version", text(head[3]))
	ev.Put("leef_event_id", text(head[4]))
	for _, pair := range p.pairs {
		if blank(pair.value) {
			continue
		}
		if string(pair.key) == "cat" && panTypeNamed(pair.value) == p.kind {
			continue
		}
		if err := p.setKey(ev, pair.key, pair.value); err != nil {
			return err
		}
	}
	return nil
}

// leefType finds the log type: the attribute Type, cat or LogType, else the event id.
func (p *panParser) leefType(id []byte) error {
	for _, key := range [...]string{"Type", "LogType", "type", "cat"} {
		for _, pair := range p.pairs {
			if string(pair.key) != key || len(pair.value) == 0 {
				continue
			}
			if k := panTypeNamed(pair.value); k != nil {
				p.kind = k
				return nil
			}
		}
	}
	if k := panTypeNamed(id); k != nil {
		p.kind = k
		return nil
	}
	return reject(p.at(id), "LEEF of Palo Alto Networks without a known log type in Type or cat")
}

// leefDelimiter finds the byte between attributes. LEEF 2.0 may name it, as
// itself or in hexadecimal (x09, 0x7C); a field that holds "=" is no name. Where a
// relay made blanks of the tabs, the attributes are read as those of CEF.
func leefDelimiter(b []byte, named bool) (delimiter byte, rest []byte) {
	if n := bytes.IndexByte(b, '|'); named && n >= 0 && n <= 4 && bytes.IndexByte(b[:n], '=') < 0 {
		word := b[:n]
		b = b[n+1:]
		hex := bytes.TrimPrefix(bytes.TrimPrefix(word, []byte("0")), []byte("x"))
		switch {
		case len(word) == 1 && word[0] != ' ':
			return word[0], b
		case len(hex) == 2 && len(hex) < len(word):
			hi, ok1 := hexDigit(hex[0])
			lo, ok2 := hexDigit(hex[1])
			if ok1 && ok2 {
				return hi<<4 | lo, b
			}
		}
	}
	switch {
	case bytes.IndexByte(b, '\t') >= 0:
		return '\t', b
	case bytes.IndexByte(b, '|') >= 0:
		return '|', b
	}
	return ' ', b
}

// leefPairs splits attributes. A part without "=" belongs to the value before it.
func leefPairs(b []byte, delimiter byte, pairs []panPair) []panPair {
	start := 0
	for i := 0; i <= len(b) && len(pairs) <= panMostPairs; i++ {
		if i < len(b) && b[i] != delimiter {
			continue
		}
		part := b[start:i]
		if i == len(b) && len(part) == 0 {
			break // behind the last delimiter
		}
		eq := bytes.IndexByte(part, '=')
		key := eq
		for key > 0 && keyByte(part[key-1]) {
			key--
		}
		if eq > 0 && len(bytes.TrimSpace(part[:key])) == 0 {
			pairs = append(pairs, panPair{part[key:eq], part[eq+1:]})
		} else if n := len(pairs); n > 0 {
			last := pairs[n-1].value
			pairs[n-1].value = last[:len(last)+1+len(part)]
		}
		start = i + 1
	}
	return pairs
}
