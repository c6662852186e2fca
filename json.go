package firetrail

import (
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends one event as a JSON object: id, the common fields in the
// order of Fields, "time.guess" behind time, then the record's own as "x.NAME" in
// the order of the record. What the event does not have is left out, so is the id
// of an event without a source. Numbers are numbers, durations seconds, times
// RFC 3339. Of a name that the record repeats the last value is given, as by Get.
//
// Text is safe on a terminal and in a document: controls, bidirectional and
// other invisible characters are escaped, bytes that are no UTF-8 become U+FFFD.
// Nothing is allocated beyond the growth of dst.
func AppendJSON(dst []byte, ev *Event) []byte {
	dst = append(dst, '{')
	start := len(dst)
	if ev.Source != "" {
		dst = append(dst, `"id":"e-`...)
		dst = appendEscaped(dst, ev.Source)
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, ev.Offset, 10)
		dst = append(dst, '"')
	}
	for i := range Fields {
		dst = Fields[i].appendMember(dst, start, ev)
		if i == 0 && ev.Guess != 0 {
			dst = appendKey(dst, start, "", "time.guess")
			dst = AppendJSONText(dst, ev.Guess.String())
		}
	}
	for i := range ev.X {
		if repeated(ev.X, i) {
			continue
		}
		dst = appendKey(dst, start, "x.", ev.X[i].Name)
		dst = AppendJSONText(dst, ev.X[i].Value)
	}
	return append(dst, '}')
}

// repeated reports whether a later field has the name of the i-th.
func repeated(x []Field, i int) bool {
	for j := i + 1; j < len(x); j++ {
		if x[j].Name == x[i].Name {
			return true
		}
	}
	return false
}

// appendMember appends "name":value, nothing where the event has none.
func (f *FieldDef) appendMember(dst []byte, start int, ev *Event) []byte {
	switch {
	case f.Text != nil:
		if s := *f.Text(ev); s != "" {
			dst = AppendJSONText(appendKey(dst, start, "", f.Name), s)
		}
		return dst
	case f.Addr != nil:
		if a := *f.Addr(ev); a.IsValid() {
			dst = append(appendKey(dst, start, "", f.Name), '"')
			dst = append(a.AppendTo(dst), '"')
		}
		return dst
	}
	n := *f.Int(ev)
	if n == Absent {
		return dst
	}
	dst = appendKey(dst, start, "", f.Name)
	switch f.Type {
	case TypeTime:
		return append(AppendStamp(append(dst, '"'), n), '"')
	case TypeDuration:
		return strconv.AppendFloat(dst, float64(n)/1e9, 'f', -1, 64)
	}
	return strconv.AppendInt(dst, n, 10)
}

func appendKey(dst []byte, start int, prefix, name string) []byte {
	if len(dst) > start {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, prefix...)
	dst = appendEscaped(dst, name)
	return append(dst, '"', ':')
}

// AppendJSONText appends s as a JSON string, as AppendJSON writes text. Characters
// of HTML are left as they are.
func AppendJSONText(dst []byte, s string) []byte {
	dst = appendEscaped(append(dst, '"'), s)
	return append(dst, '"')
}

func appendEscaped(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		if c := s[i]; c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r >= 0x80 && !unsafeRune(r, n) {
			i += n
			continue
		}
		dst = append(dst, s[from:i]...)
		switch r {
		case '"', '\\':
			dst = append(dst, '\\', byte(r))
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = appendUnit(dst, r)
		}
		i += n
		from = i
	}
	return append(dst, s[from:]...)
}

// appendUnit appends r as \uXXXX, beyond the basic plane as two surrogates.
func appendUnit(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	if r > 0xffff {
		r -= 0x10000
		dst = appendUnit(dst, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
