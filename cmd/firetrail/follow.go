package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"firetrail"
	"firetrail/index"
	"firetrail/parsers"
)

const (
	followPause = time.Second // the shortest time between two looks at the files
	followLooks = 10          // a file that ends within a line is left alone for so many looks
)

// written is how a file stood at a look.
type written struct {
	size  int64
	mtime time.Time
}

func stood(info fs.FileInfo) written { return written{info.Size(), info.ModTime()} }

// followed is what is known of a file.
type followed struct {
	taken written // when it was taken in
	left  int     // looks since then at which it had changed, but ended within a line
}

// follow takes in the paths and then, until ctx ends, whatever is written to them:
// files that grow and files that come. Each time is an ingest of its own, with
// the same commits: what was committed stays, whatever happens next. The pauses are ten
// times as long as the work: following takes a tenth of a core at most.
// ctx ending in a pause is the regular end; an error is what stops an ingest.
func (a *app) follow(ctx context.Context, c *index.Case, paths []string, opt index.IngestOptions) (err error) {
	log := followLog{c: c, paths: paths, since: time.Now()}
	defer func() { err = errors.Join(err, log.end()) }()
	opt.Unlogged = true
	files := map[string]followed{}
	for name, info := range parsers.Files(paths) {
		files[name] = followed{taken: stood(info)}
	}
	err = log.add(a.ingest(ctx, c, paths, opt))
	if e, told := errors.AsType[*exitError](err); told && e.code == exitUsage {
		return err // nothing there to follow
	}
	a.say("following; interrupt to end")
	for pause := followPause; ; {
		if _, told := errors.AsType[*exitError](err); err != nil && !told {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if due := changed(paths, files); len(due) > 0 {
			began := time.Now()
			err = log.add(a.ingest(ctx, c, due, opt))
			pause = max(followPause, 10*time.Since(began))
		}
	}
}

// followLog tells the custody log what following has taken in: once an hour and in
// the end, not at every look.
type followLog struct {
	c     *index.Case
	paths []string
	since time.Time
	looks int // that took something in
	sum   firetrail.Counts
}

// add notes what a look has taken in.
func (l *followLog) add(done index.Ingested, err error) error {
	if done.Totals.Records > 0 {
		l.looks++
		l.sum.Add(done.Totals)
	}
	if time.Since(l.since) < time.Hour {
		return err
	}
	return errors.Join(err, l.end())
}

// end writes the entry of what was not logged yet.
func (l *followLog) end() error {
	if l.looks == 0 {
		return nil
	}
	entry := index.CustodyEntry{Action: "ingest --follow", Args: l.paths,
		Text: fmt.Sprintf("%d looks since %s: %s", l.looks, l.since.UTC().Format(time.RFC3339), countsText(&l.sum))}
	*l = followLog{c: l.c, paths: l.paths, since: time.Now()}
	return l.c.Log(entry)
}

// changed lists the files at or below the paths that are due, sorted.
func changed(paths []string, files map[string]followed) []string {
	var due []string
	for name, info := range parsers.Files(paths) {
		f, now := files[name], stood(info)
		switch {
		case f.taken == now:
		case f.left < followLooks && !endsLine(name, now.size):
			f.left++
			files[name] = f
		default:
			files[name] = followed{taken: now}
			due = append(due, name)
		}
	}
	slices.Sort(due)
	return slices.Compact(due)
}

// endsLine reports whether the last of a file's bytes is a line end.
func endsLine(name string, size int64) bool {
	f, err := os.Open(name)
	if err != nil {
		return true // the ingest says why
	}
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], size-1)
	return err == nil && b[0] == '\n'
}
