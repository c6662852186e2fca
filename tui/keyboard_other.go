//go:build !unix

package tui

import "io"

func withEsc(in io.Reader) io.Reader { return in }
