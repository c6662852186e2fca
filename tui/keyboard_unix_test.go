//go:build unix

package tui

import (
	"io"
	"os"
	"testing"
)

func TestEscIsToldAtOnce(t *testing.T) {
	for _, c := range []struct {
		name, typed string
		room        int
		want        string
	}{
		{"Esc alone", "\x1b", 16, "\x1b[27u"},
		{"a key before it", "jj\x1b", 16, "jj\x1b[27u"},
		{"a sequence", "\x1b[A", 16, "\x1b[A"},
		{"Alt", "\x1bf", 16, "\x1bf"},
		{"no Esc", "q", 16, "q"},
		{"no room", "jj\x1b", 6, "jj\x1b"},
		{"just room", "jj\x1b", 7, "jj\x1b[27u"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, c.typed); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, c.room)
		n, err := withEsc(r).Read(p)
		if got := string(p[:n]); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
		w.Close()
		if n, err := withEsc(r).Read(p); n != 0 || err != io.EOF {
			t.Errorf("%s: after the end %d, %v", c.name, n, err)
		}
		r.Close()
	}
}
