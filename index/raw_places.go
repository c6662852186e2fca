package index

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"firetrail/parsers"
)

// relative gives the place of a source seen from the folder of the case, with
// slashes, so that a case and its logs can be moved together and be opened from
// anywhere. It is "" for streams and where there is no such way. Only the folder
// of the file is made relative: what stands behind it may name the member of an
// archive, which must stay as it is.
func (f folders) relative(dir, path string) string {
	if path == "-" || strings.HasPrefix(path, "-!") {
		return ""
	}
	root, _, _ := strings.Cut(path, "!")
	base := root[strings.LastIndexByte(filepath.ToSlash(root), '/')+1:]
	folder := strings.TrimSuffix(root, base)
	from, ferr := f.whereabouts(dir)
	to, terr := f.whereabouts(folder)
	if ferr != nil || terr != nil {
		return ""
	}
	rel, err := filepath.Rel(from, to)
	if err != nil {
		return ""
	}
	return filepath.ToSlash(rel) + "/" + path[len(folder):]
}

// folders keeps whereabouts: very many sources lie in few folders.
type folders map[string]string

func (f folders) whereabouts(dir string) (string, error) {
	at, ok := f[dir]
	if !ok {
		var err error
		if at, err = whereabouts(dir); err != nil {
			return "", err
		}
		f[dir] = at
	}
	return at, nil
}

// whereabouts is the absolute path of a folder without symbolic links: ".." of a
// link is not the folder that the link lies in.
func whereabouts(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// places are the paths under which a source may be found: as they were given, then
// as seen from the case.
func (c *Case) places(t *taken) []string {
	all := append([]string{t.Path}, t.also...)
	dir, err := whereabouts(c.dir)
	if err != nil {
		return all
	}
	for _, rel := range t.rels {
		slash := strings.LastIndexByte(strings.SplitN(rel, "!", 2)[0], '/') + 1
		all = append(all, filepath.Join(dir, filepath.FromSlash(rel[:slash]))+string(filepath.Separator)+rel[slash:])
	}
	return all
}

// reopen opens the content of a source: its copy in the case, or what lies at
// one of its places. A path that was given from another folder may lead to a
// file that is not the source, so the first that begins as the source does is
// taken; where none does, the first that can be opened, to be found different.
func (c *Case) reopen(t *taken) (io.ReadCloser, error) {
	if f, err := os.Open(c.path("spool", t.ID, "")); err == nil {
		return f, nil
	}
	var first parsers.Input
	var why []error
	for _, p := range c.places(t) {
		in, err := parsers.OpenPath(p)
		var alike bool
		if err == nil {
			alike, err = beginsAs(in, t)
		}
		switch {
		case err != nil:
			why = append(why, err)
		case alike:
			return in.Open()
		case first.Open == nil:
			first = in
		}
	}
	if first.Open != nil {
		return first.Open()
	}
	return nil, fmt.Errorf("source %s is not where it was: %w", t.ID, errors.Join(why...))
}

// beginsAs compares the first bytes of an input with those of a source.
func beginsAs(in parsers.Input, t *taken) (bool, error) {
	r, err := in.Open()
	if err != nil {
		return false, err
	}
	defer r.Close()
	var head bytes.Buffer
	if _, err := io.CopyN(&head, r, min(t.Size, startSize)); err != nil && head.Len() == 0 {
		return false, err
	}
	return startOf(head.Bytes()) == t.last.Start, nil
}
