package firetrail

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Inert makes hostile text safe to show on a terminal and in any document:
// control characters, escape sequences, bidirectional controls and invisible
// format characters become visible "\xNN" or "\uNNNN"; invalid UTF-8 becomes "\xNN".
// Text without any of them is returned as it is, without allocation.
func Inert(s string) string {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if unsafeRune(r, n) {
			return inert(s, i)
		}
		i += n
	}
	return s
}

// InertRecord is Inert for an original record that is shown as a block of its
// own: tabs, which separate the columns of many logs, stay tabs.
func InertRecord(s string) string {
	if !strings.Contains(s, "\t") {
		return Inert(s)
	}
	parts := strings.Split(s, "\t")
	for i := range parts {
		parts[i] = Inert(parts[i])
	}
	return strings.Join(parts, "\t")
}

func inert(s string, from int) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	b.WriteString(s[:from])
	for i := from; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case !unsafeRune(r, n):
			b.WriteString(s[i : i+n])
		case r < 0x80 || n == 1:
			b.WriteString(`\x`)
			b.WriteByte(hex[s[i]>>4])
			b.WriteByte(hex[s[i]&15])
		case r > 0xffff:
			b.WriteString(`\U`)
			for shift := 28; shift >= 0; shift -= 4 {
				b.WriteByte(hex[r>>shift&15])
			}
		default:
			b.WriteString(`\u`)
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(hex[r>>shift&15])
			}
		}
		i += n
	}
	return b.String()
}

// unsafeRune reports controls (C0, DEL, C1), format characters (bidi, zero
// width, tags), line and paragraph separators, and bytes that are no UTF-8.
func unsafeRune(r rune, n int) bool {
	switch {
	case r < 0x20 || r == 0x7f:
		return true
	case r < 0x7f:
		return false
	case r == utf8.RuneError && n <= 1:
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
