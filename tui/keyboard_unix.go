//go:build unix

package tui

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// keyboard is a terminal that says at once that Esc was pressed. Esc alone may also be the
// beginning of another key's sequence, so that the terminal library waits 50 ms for the rest
// of it. A sequence comes in one piece or nearly so: what stays alone for escWait is passed on
// as CSI 27 u, which is nothing but Esc
// (https://sw.kovidgoyal.net/kitty/keyboard-protocol/, also xterm's modifyOtherKeys).
type keyboard struct{ *os.File }

const (
	escWait = 20 // milliseconds
	esc     = "\x1b"
	escKey  = "\x1b[27u"
)

// Read is a read of the terminal, at most escWait late.
func (k keyboard) Read(p []byte) (int, error) {
	n, err := k.File.Read(p)
	if err != nil || n == 0 || p[n-1] != esc[0] || n+len(escKey)-len(esc) > len(p) || k.more() {
		return n, err
	}
	return n - len(esc) + copy(p[n-len(esc):], escKey), nil
}

// more says whether anything can be read within escWait.
func (k keyboard) more() bool {
	fds := []unix.PollFd{{Fd: int32(k.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, escWait)
	return n > 0 || err != nil
}

// withEsc is in, with Esc told from sequences early where in is a file.
func withEsc(in io.Reader) io.Reader {
	if f, ok := in.(*os.File); ok {
		return keyboard{f}
	}
	return in
}
