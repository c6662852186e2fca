package index

import (
	"errors"
	"fmt"
	"io"
	"os"

	"firetrail/parsers"
)

// reopen opens the content of a source where it was met last: its copy in the
// case, or one of its paths.
func (c *Case) reopen(k *taken) (io.ReadCloser, error) {
	if f, err := os.Open(c.path("spool", k.ID, "")); err == nil {
		return f, nil
	}
	var why []error
	for _, p := range append([]string{k.Path}, k.also...) {
		in, err := parsers.OpenPath(p)
		if err == nil {
			var r io.ReadCloser
			if r, err = in.Open(); err == nil {
				return r, nil
			}
		}
		why = append(why, err)
	}
	return nil, fmt.Errorf("source %s is not where it was: %w", k.ID, errors.Join(why...))
}
