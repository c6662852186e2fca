// Package index is the case: a folder that holds the events of all sources in
// Parquet segments, their block terms and flow rollups, and everything that was
// concluded from them. It is the only package with worker goroutines.
//
// # The folder
//
//	case.json       version of the layout
//	manifest.jsonl  what is committed: a line for each commit, checksummed and chained
//	segments/       <source>-<n>.parquet: events of one kind, named by the source of the first
//	flows/          <source>-<n>.flow: rollup of that segment
//	blocks/         <source>-<n>.fst: terms of its blocks; derived, may be missing
//	rejects/        <source>-<n>.jsonl: quarantined records
//	sums/           <source>: chaining values of its SHA-256, behind each MiB
//	spool/          content that cannot be read again from where it came (stdin)
//	isolated.json   damaged segments that answers leave out; derived, made by Repair
//	staging/        what is being written; removed by the next writer
//	custody.jsonl   who did what, when: chained; custody.head is its end
//	runs/ findings/ lock readers
//
// A file counts only if the manifest names it. Writers hold the lock; readers wait
// for nobody: an open Case is a snapshot of the manifest, and the files it names
// never change. A file that no longer counts, because others took its place, is removed
// when no case is open any more: readers share a lock on the file readers, where the
// file system has locks.
package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"firetrail"
	"firetrail/index/columns"

	"github.com/gofrs/flock"
)

const (
	caseFile = "case.json"
	layout   = 2
)

// Case is an open case. Its methods may be called from several goroutines.
type Case struct {
	dir string

	mu    sync.RWMutex
	snap  *snapshot
	lock  *caseLock // held while this process writes
	open  segmentCache
	terms termCache
	raw   rawStream
	read  readFiles

	reading    *flock.Flock    // shared with other readers, nil where that cannot be had
	unreadable map[string]bool // segments that could not be merged; of the writer
	mine       *state          // as this process has left it when it wrote last; of the writer
}

// caseInfo is the content of case.json.
type caseInfo struct {
	Firetrail string `json:"firetrail"` // what the folder is
	Layout    int    `json:"layout"`
}

// ErrNoCase is wrapped where a folder is no case.
var ErrNoCase = errors.New("no case here")

// Create makes the folder of a case if it is not there and opens it.
func Create(dir string) (*Case, error) {
	if _, err := os.Stat(filepath.Join(dir, caseFile)); err == nil {
		return Open(dir)
	}
	for _, sub := range []string{"", "segments", "flows", "blocks", "rejects", "sums", "spool", "staging", "runs", "findings"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("create case: %w", err)
		}
	}
	b, err := json.Marshal(caseInfo{Firetrail: "case", Layout: layout})
	if err != nil {
		return nil, err
	}
	c := &Case{dir: dir}
	// From here on a manifest, or a record of the custody log's end, that is missing was
	// removed. Those of a folder that has lost only its name of a case stay.
	for _, f := range []struct {
		name string
		data []byte
	}{{custodyHead, []byte(emptyHead)}, {manifestName, nil}, {readersFile, nil}, {caseFile, append(b, '\n')}} {
		if _, err := os.Lstat(filepath.Join(dir, f.name)); err == nil {
			continue
		}
		if err := c.writeAtomic(f.name, f.data); err != nil {
			return nil, fmt.Errorf("create case: %w", err)
		}
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	return Open(dir)
}

// Open opens a case for reading: a snapshot of what is committed now.
func Open(dir string) (*Case, error) {
	b, err := os.ReadFile(filepath.Join(dir, caseFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open case: %s: %w", dir, ErrNoCase)
	} else if err != nil {
		return nil, fmt.Errorf("open case: %w", err)
	}
	var info caseInfo
	if err := json.Unmarshal(b, &info); err != nil {
		return nil, fmt.Errorf("open case: %s: %w", filepath.Join(dir, caseFile), err)
	}
	if info.Firetrail != "case" {
		return nil, fmt.Errorf("open case: %s: it names no case of Firetrail", filepath.Join(dir, caseFile))
	}
	if info.Layout != layout {
		return nil, fmt.Errorf("open case: %s has layout %d; this version reads layout %d: take the logs in again, into a new case", dir, info.Layout, layout)
	}
	c := &Case{dir: dir, unreadable: map[string]bool{}}
	c.beginReading()
	if err := c.Refresh(); err != nil {
		c.endReading()
		return nil, fmt.Errorf("open case: %s: %w", dir, err)
	}
	return c, nil
}

// DefaultName is the folder of a case that nobody named.
const DefaultName = "firetrail.case"

// Find returns the nearest case at or above start: a folder that is one, or that
// holds one by the default name. The error wraps ErrNoCase if there is none.
func Find(start string) (string, error) {
	dir, err := filepath.Abs(start)
	if err != nil {
		return "", err
	}
	for {
		for _, found := range []string{dir, filepath.Join(dir, DefaultName)} {
			if _, err := os.Stat(filepath.Join(found, caseFile)); err == nil {
				return found, nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("%s and the folders above it: %w", start, ErrNoCase)
		}
		dir = parent
	}
}

// Dir is the folder of the case.
func (c *Case) Dir() string { return c.dir }

// Close releases open segments and the lock. Files that this process has replaced go
// if nobody may be reading them; else a later writer removes them.
func (c *Case) Close() error {
	c.open.close()
	c.terms.close()
	c.raw.mu.Lock()
	c.raw.close()
	c.raw.mu.Unlock()
	err := c.tidyReplaced()
	c.endReading()
	return errors.Join(err, c.unlock())
}

// Refresh moves to what is committed now.
func (c *Case) Refresh() error {
	data, err := readManifest(c.dir)
	if err != nil {
		return err
	}
	if snap, ok := scanManifest(data); ok && snap.sound(c.dir) {
		c.mu.Lock()
		c.snap = snap
		c.mu.Unlock()
		return nil
	}
	st, err := decodeState(data)
	if err != nil {
		return err
	}
	c.show(st)
	return nil
}

// show makes a state the one that readers see.
func (c *Case) show(st *state) {
	snap := st.snapshot()
	snap.isolate(c.dir, loadIsolated(c.dir))
	c.mu.Lock()
	c.snap = snap
	c.mu.Unlock()
}

// snapshot is the state of a case after some commits. It never changes.
type snapshot struct {
	commits  int
	chain    string             // checksum of the last line of the manifest
	sources  []firetrail.Source // sorted by path, then id
	byID     map[string]*taken
	segments []segment // sorted by name
	isolated []Isolated

	lines []byte // of the manifest, where sources and byID are not made of them yet
}

// taken is a source with what the next ingest must know of it.
type taken struct {
	firetrail.Source
	last    taking   // the latest one
	also    []string // other paths under which the same content was seen
	rels    []string // its paths as seen from the folder of the case
	known   []prefix // what of it each commit took in, oldest first
	rejects []rejectFile
}

// prefix is a beginning of a source.
type prefix struct {
	size   int64
	sha256 string
}

// standing is what is known of a source where its reading goes on.
func (t *taken) standing() standing {
	if t.last.Tail != nil {
		return t.last.Tail.Before
	}
	return standing{Counts: t.Counts, Facts: len(t.Facts), First: t.First, Last: t.Last, Sensor: t.Sensor, Mixed: t.last.Mixed}
}

// segment is one file of events, as the manifest names it.
type segment struct {
	Name   string `json:"name"` // "<source>-<n>", of the files in segments, flows and blocks
	Kind   string `json:"kind"`
	Rows   int64  `json:"rows"`
	Dated  int64  `json:"dated"` // rows that have a time
	First  int64  `json:"first"` // bounds of time, Absent without dated rows
	Last   int64  `json:"last"`
	NAT    bool   `json:"nat,omitempty"` // some row has a translated address or port
	Size   int64  `json:"size"`          // and SHA-256 of the files
	SHA256 string `json:"sha256"`
	Flows  string `json:"flows"`

	// Sources says whose events they are, in the order of the rows. A source may
	// have several runs.
	Sources []sourceRows `json:"sources"`
}

// sourceRows are rows of a segment, one behind the other, of one source. The source
// has no other events of the segment's kind between the offsets.
type sourceRows struct {
	Source string `json:"source"` // id
	Rows   int64  `json:"rows"`
	From   int64  `json:"from"` // offset of the first record
	To     int64  `json:"to"`   // and behind the last one

	id *string // while the segment is written: where the id will stand
}

// has reports whether the segment has events of a source that passes.
func (s *segment) has(source func(id string) bool) bool {
	return slices.ContainsFunc(s.Sources, func(r sourceRows) bool { return source(r.Source) })
}

// parts is the present snapshot, of which sources and byID may not be made yet.
func (c *Case) parts() *snapshot {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.snap
}

// view is the whole of the present snapshot.
func (c *Case) view() *snapshot {
	if v := c.parts(); v.lines == nil {
		return v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.snap; v.lines != nil {
		whole := &snapshot{commits: v.commits, chain: v.chain, segments: v.segments}
		// The lines have the checksums of what this program wrote, so they decode.
		if st, err := decodeState(v.lines); err == nil {
			all := st.snapshot()
			whole.sources, whole.byID = all.sources, all.byID
		}
		c.snap = whole
	}
	return c.snap
}

// Sources lists the sources taken in, sorted by path, then id.
func (c *Case) Sources() []firetrail.Source { return slices.Clone(c.view().sources) }

func (c *Case) path(folder, name, ext string) string {
	return filepath.Join(c.dir, folder, name+ext)
}

// segmentCache keeps segments open, the latest used ones: opening one means
// decoding its footer.
type segmentCache struct {
	mu    sync.Mutex
	items []*openSegment // the latest used last
}

type openSegment struct {
	name string
	seg  *columns.Segment
	uses int
}

const maxOpen = 128

// segment opens a segment or finds it open. release must be called once.
func (c *Case) segment(name string) (seg *columns.Segment, release func(), err error) {
	o := &c.open
	o.mu.Lock()
	defer o.mu.Unlock()
	it := o.find(name)
	if it == nil {
		// Opening takes longer than anything that others wait for here.
		o.mu.Unlock()
		seg, err := c.openSegment(name)
		o.mu.Lock()
		if err != nil {
			return nil, nil, err
		}
		if it = o.find(name); it != nil {
			seg.Close()
		} else {
			it = &openSegment{name: name, seg: seg}
			o.items = append(o.items, it)
		}
	}
	it.uses++
	o.trim()
	var once sync.Once
	return it.seg, func() {
		once.Do(func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			it.uses--
			o.trim()
		})
	}, nil
}

// find makes a segment that is open the latest used one.
func (o *segmentCache) find(name string) *openSegment {
	i := slices.IndexFunc(o.items, func(it *openSegment) bool { return it.name == name })
	if i < 0 {
		return nil
	}
	it := o.items[i]
	o.items = append(slices.Delete(o.items, i, i+1), it)
	return it
}

func (c *Case) openSegment(name string) (*columns.Segment, error) {
	path := c.path("segments", name, ".parquet")
	if err := c.parts().check(name, path); err != nil {
		return nil, err
	}
	return columns.Open(path)
}

// smallSegment is the size up to which a segment is compared with its checksum
// when it is opened: there the footer, which has no checksum of its own, is much of
// the file, and reading all of it takes some 0.1 ms.
const smallSegment = 64 << 10

// check compares a small segment with its checksum.
func (v *snapshot) check(name, path string) error {
	i, ok := slices.BinarySearchFunc(v.segments, name, func(s segment, name string) int { return strings.Compare(s.Name, name) })
	if !ok || v.segments[i].Size > smallSegment {
		return nil
	}
	sum, err := fileSum(path)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	if sum != v.segments[i].SHA256 {
		return fmt.Errorf("%s: %w: it is not what was committed; see 'firetrail verify --repair'", path, columns.ErrCorrupt)
	}
	return nil
}

// trim closes what has not been used for longest.
func (o *segmentCache) trim() {
	for i := 0; len(o.items) > maxOpen && i < len(o.items); {
		if it := o.items[i]; it.uses == 0 {
			it.seg.Close()
			o.items = slices.Delete(o.items, i, i+1)
		} else {
			i++
		}
	}
}

func (o *segmentCache) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, it := range o.items {
		it.seg.Close()
	}
	o.items = nil
}

func compareSources(a, b firetrail.Source) int {
	if c := strings.Compare(a.Path, b.Path); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}
