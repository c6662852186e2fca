package index

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firetrail"
)

const manifestName = "manifest.jsonl"

// manifestLine is a line of the manifest. Sum is the SHA-256 of the former
// line's sum and the bytes of Commit, so that no line can be changed, taken
// out or moved without all that follow.
type manifestLine struct {
	Commit json.RawMessage `json:"commit"`
	Sum    string          `json:"sum"`
}

// commit says that content of one source is in the case.
type commit struct {
	Source   firetrail.Source `json:"source"` // as it stands after the commit; content fields unchanged where Also is set
	Also     string           `json:"also,omitempty"`
	Rel      string           `json:"rel,omitempty"` // Also, else the source's path, as seen from the folder of the case
	From     int64            `json:"from"`          // bytes that were in the case before
	Head     string           `json:"head"`          // SHA-256 of the first headSize bytes
	Start    string           `json:"start"`         // of the first startSize bytes
	Segments []segment        `json:"segments,omitempty"`
	Rejects  []rejectFile     `json:"rejects,omitempty"`
	Sums     sumFile          `json:"sums"`           // of the content as it stands after the commit
	Drop     []string         `json:"drop,omitempty"` // names of files that no longer count
	Tail     *tail            `json:"tail,omitempty"`
	Read     *readOptions     `json:"read,omitempty"` // options that were given
}

// sumFile names a file of checksums; sources of one part need none.
type sumFile struct {
	Name   string `json:"name,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// tail is the last record of a source that ends without a line end. If the
// source grows, it is read again and its files are dropped.
type tail struct {
	Offset int64    `json:"offset"`
	Files  []string `json:"files,omitempty"`
}

// ErrManifest is wrapped where the manifest is not what was written.
var ErrManifest = errors.New("manifest is damaged")

// manifestError is the first bad line of the manifest.
type manifestError struct {
	line int
	why  string
}

func (e *manifestError) Error() string {
	return fmt.Sprintf("%v: line %d: %s", ErrManifest, e.line, e.why)
}
func (e *manifestError) Unwrap() error { return ErrManifest }

func badLine(err error) int {
	if e, ok := errors.AsType[*manifestError](err); ok {
		return e.line
	}
	return 0
}

func chain(former string, commit []byte) string {
	h := sha256.New()
	h.Write([]byte(former))
	h.Write(commit)
	return hex.EncodeToString(h.Sum(nil))
}

// state is what the manifest says, as a writer keeps it up to date.
type state struct {
	commits  int
	chain    string // checksum of the last line
	end      int64  // bytes of the manifest up to there
	byID     map[string]*taken
	segments map[string]segment
	chains   map[string]bool // checksums of all lines

	// Sources by what their content begins with: those of at least headSize bytes by
	// the checksum of their head, shorter ones by size and checksum.
	heads  map[string][]*taken
	starts map[string][]*taken // all, by the checksum of their first startSize bytes
	short  map[int64]map[string]*taken
	sizes  []int64 // keys of short, ascending
}

// loadState reads the manifest. A last line that was cut off by a crash was never
// committed and does not count; any other damage is an error.
func loadState(dir string) (*state, error) {
	data, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	return decodeState(data)
}

// readManifest reads the manifest's file; without one, there are no lines.
func readManifest(dir string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return data, nil
}

// decodeState reads the lines of a manifest.
func decodeState(data []byte) (*state, error) {
	s := &state{byID: map[string]*taken{}, segments: map[string]segment{}, chains: map[string]bool{"": true},
		heads: map[string][]*taken{}, starts: map[string][]*taken{}, short: map[int64]map[string]*taken{}}
	for line := range bytes.Lines(data) {
		if line[len(line)-1] != '\n' {
			break
		}
		var l manifestLine
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, &manifestError{s.commits + 1, err.Error()}
		}
		sum := chain(s.chain, l.Commit)
		if l.Sum != sum {
			return nil, &manifestError{s.commits + 1, "checksum does not match"}
		}
		var c commit
		if err := json.Unmarshal(l.Commit, &c); err != nil {
			return nil, &manifestError{s.commits + 1, err.Error()}
		}
		s.apply(c)
		s.chain, s.commits, s.chains[sum] = sum, s.commits+1, true
		s.end += int64(len(line))
	}
	return s, nil
}

// snapshot freezes the state for readers.
func (s *state) snapshot() *snapshot {
	v := &snapshot{commits: s.commits, chain: s.chain, byID: make(map[string]*taken, len(s.byID))}
	for id, t := range s.byID {
		frozen := *t
		frozen.also, frozen.rels, frozen.rejects = slices.Clone(t.also), slices.Clone(t.rels), slices.Clone(t.rejects)
		v.byID[id] = &frozen
		v.sources = append(v.sources, t.Source)
	}
	slices.SortFunc(v.sources, compareSources)
	for _, seg := range s.segments {
		v.segments = append(v.segments, seg)
	}
	slices.SortFunc(v.segments, func(a, b segment) int { return strings.Compare(a.Name, b.Name) })
	return v
}

// apply adds a commit.
func (s *state) apply(c commit) {
	t := s.byID[c.Source.ID]
	if t == nil {
		t = &taken{}
		s.byID[c.Source.ID] = t
	}
	if c.Rel != "" && !slices.Contains(t.rels, c.Rel) {
		t.rels = append(t.rels, c.Rel)
	}
	if c.Also != "" {
		t.also = append(t.also, c.Also)
		return
	}
	s.forget(t)
	t.Source, t.last = c.Source, c
	s.remember(t)
	for _, name := range c.Drop {
		delete(s.segments, name)
		t.rejects = slices.DeleteFunc(t.rejects, func(r rejectFile) bool { return r.Name == name })
	}
	for _, seg := range c.Segments {
		s.segments[seg.Name] = seg
	}
	t.files += len(c.Segments) + len(c.Rejects)
	if c.Sums.Name != "" {
		t.files++
	}
	t.rejects = append(t.rejects, c.Rejects...)
}

// remember makes a source findable by its content, forget undoes it.
func (s *state) remember(t *taken) {
	s.starts[t.last.Start] = append(s.starts[t.last.Start], t)
	if t.Size >= headSize {
		s.heads[t.last.Head] = append(s.heads[t.last.Head], t)
		return
	}
	if s.short[t.Size] == nil {
		s.short[t.Size] = map[string]*taken{}
		i, _ := slices.BinarySearch(s.sizes, t.Size)
		s.sizes = slices.Insert(s.sizes, i, t.Size)
	}
	s.short[t.Size][t.SHA256] = t
}

func (s *state) forget(t *taken) {
	is := func(o *taken) bool { return o == t }
	s.heads[t.last.Head] = slices.DeleteFunc(s.heads[t.last.Head], is)
	s.starts[t.last.Start] = slices.DeleteFunc(s.starts[t.last.Start], is)
	delete(s.short[t.Size], t.SHA256)
}

// alike gives the sources that may be, begin or continue an input with this head:
// those that it may contain first, from the shortest.
func (s *state) alike(head []byte) []*taken {
	var all []*taken
	h, at := sha256.New(), int64(0)
	for _, size := range s.sizes {
		if size > int64(len(head)) {
			break
		}
		h.Write(head[at:size])
		at = size
		if t := s.short[size][hex.EncodeToString(h.Sum(nil))]; t != nil {
			all = append(all, t)
		}
	}
	h.Write(head[at:])
	long := slices.Clone(s.heads[hex.EncodeToString(h.Sum(nil))])
	if len(head) < headSize {
		for _, t := range s.starts[startOf(head)] {
			if t.Size > int64(len(head)) {
				long = append(long, t)
			}
		}
	}
	slices.SortFunc(long, func(a, b *taken) int { return cmp.Or(cmp.Compare(a.Size, b.Size), strings.Compare(a.ID, b.ID)) })
	return append(all, long...)
}

const startSize = 512

func startOf(head []byte) string {
	sum := sha256.Sum256(head[:min(len(head), startSize)])
	return hex.EncodeToString(sum[:])
}

// commit appends a line to the manifest and makes it durable: from then on the
// files that it names belong to the case. The caller holds the lock and has made
// the files durable.
func (s *state) commit(dir string, e commit) error {
	e.Rel = relative(dir, cmp.Or(e.Also, e.Source.Path))
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	sum := chain(s.chain, raw)
	line, err := json.Marshal(manifestLine{Commit: raw, Sum: sum})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, manifestName), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(s.end); err != nil { // a torn line of a crash
		return fmt.Errorf("commit: %w", err)
	}
	if _, err := f.WriteAt(append(line, '\n'), s.end); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if s.commits == 0 {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	s.apply(e)
	s.chain, s.commits, s.chains[sum] = sum, s.commits+1, true
	s.end += int64(len(line)) + 1
	return nil
}
