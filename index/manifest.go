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
	"strconv"
	"strings"

	"firetrail"
	"firetrail/parsers"
)

const manifestName = "manifest.jsonl"

// manifestLine is a line of the manifest. Sum is the SHA-256 of the former
// line's sum and the bytes of Commit, so that no line can be changed, taken
// out or moved without all that follow.
type manifestLine struct {
	Commit json.RawMessage `json:"commit"`
	Sum    string          `json:"sum"`
}

// commit is what becomes part of the case at once: content of sources, and files.
type commit struct {
	Sources  []taking  `json:"sources,omitempty"`
	Drop     []string  `json:"drop,omitempty"` // names of files that no longer count
	Segments []segment `json:"segments,omitempty"`
}

// taking says that content of one source is in the case.
type taking struct {
	Source  firetrail.Source `json:"source"`          // as it stands then, with the facts that are new; the id alone where Also is set
	Mixed   bool             `json:"mixed,omitempty"` // its events name several sensors
	Also    string           `json:"also,omitempty"`  // another path where the same content was met
	Rel     string           `json:"rel,omitempty"`   // Also, else the source's path, as seen from the folder of the case
	From    int64            `json:"from"`            // bytes that were in the case before
	More    bool             `json:"more,omitempty"`  // the source goes on behind: it was committed while it was read
	Head    string           `json:"head,omitempty"`  // SHA-256 of the first headSize bytes, if there are so many
	Start   string           `json:"start"`           // of the first startSize bytes
	Rejects []rejectFile     `json:"rejects,omitempty"`
	Sums    string           `json:"sums,omitempty"` // SHA-256 of the chaining values of all content
	Tail    *tail            `json:"tail,omitempty"`
	State   parsers.State    `json:"state"`          // where and how reading goes on when the source grows
	Read    *readOptions     `json:"read,omitempty"` // options that were given

	values []byte // chaining values of all content, while it is taken in
	had    int64  // how many bytes of them are committed
	spool  string // copy of a stream in staging
}

// tail are the records that the end of a source ends: mostly one without a line end.
// If the source grows, they are read again and their files are dropped.
type tail struct {
	Files  []string `json:"files,omitempty"`
	Before standing `json:"before"` // what is known of the source in front of them
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
	places   folders

	// Sources by the checksum of their first startSize bytes, of fewer if they are
	// shorter. tiny counts those that are, by size.
	starts map[string][]*taken
	tiny   [startSize]int
}

func newState() *state {
	return &state{byID: map[string]*taken{}, segments: map[string]segment{}, chains: map[string]bool{"": true},
		starts: map[string][]*taken{}, places: folders{}}
}

// loadState reads the manifest. A last line that was cut off by a crash was never
// committed and does not count; any other damage is an error.
func loadState(dir string) (*state, error) {
	s := newState()
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
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
	for i := range c.Sources {
		s.take(&c.Sources[i])
	}
	for _, name := range c.Drop {
		delete(s.segments, name)
		if t := s.byID[owner(name)]; t != nil {
			t.rejects = slices.DeleteFunc(t.rejects, func(r rejectFile) bool { return r.Name == name })
		}
	}
	for _, seg := range c.Segments {
		s.segments[seg.Name] = seg
		s.named(seg.Name)
	}
}

// take adds content of a source.
func (s *state) take(c *taking) {
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
	facts := slices.Concat(t.Facts[:t.standing().Facts], c.Source.Facts)
	t.Source, t.last = c.Source, *c
	t.Facts = facts
	if c.More {
		t.Problem = fmt.Sprintf("only its first %d bytes are taken in so far; the next ingest goes on", t.Size)
	}
	t.known = append(t.known, prefix{t.Size, t.SHA256})
	s.remember(t)
	t.rejects = append(t.rejects, c.Rejects...)
	for _, r := range c.Rejects {
		s.named(r.Name)
	}
}

// Files are named "<source>-<number>" by the source of their first record. owner is
// that source.
func owner(name string) string {
	id, _, _ := strings.Cut(name, "-")
	return id
}

// named notes that a name is taken.
func (s *state) named(name string) {
	id, number, _ := strings.Cut(name, "-")
	if n, err := strconv.Atoi(number); err == nil && s.byID[id] != nil {
		s.byID[id].files = max(s.byID[id].files, n+1)
	}
}

// remember makes a source findable by its content, forget undoes it.
func (s *state) remember(t *taken) {
	s.starts[t.last.Start] = append(s.starts[t.last.Start], t)
	if t.Size < startSize {
		s.tiny[t.Size]++
	}
}

func (s *state) forget(t *taken) {
	if t.ID == "" {
		return
	}
	s.starts[t.last.Start] = slices.DeleteFunc(s.starts[t.last.Start], func(o *taken) bool { return o == t })
	if t.Size < startSize {
		s.tiny[t.Size]--
	}
}

// alike gives the sources that may be, begin or continue an input with this head:
// from the shortest to the longest.
func (s *state) alike(head []byte) []*taken {
	var all []*taken
	for size := range min(len(head), startSize) {
		if s.tiny[size] > 0 {
			all = append(all, s.starts[startOf(head[:size])]...)
		}
	}
	sum := ""
	for _, t := range s.starts[startOf(head)] {
		if len(head) == headSize && t.Size >= headSize {
			if sum == "" {
				sum = headOf(head)
			}
			if t.last.Head != sum {
				continue
			}
		}
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *taken) int { return cmp.Or(cmp.Compare(a.Size, b.Size), strings.Compare(a.ID, b.ID)) })
	return all
}

const startSize = 512

func startOf(head []byte) string {
	sum := sha256.Sum256(head[:min(len(head), startSize)])
	return hex.EncodeToString(sum[:])
}

func headOf(head []byte) string {
	sum := sha256.Sum256(head)
	return hex.EncodeToString(sum[:])
}

// commit appends a line to the manifest and makes it durable: from then on the
// files that it names belong to the case. The caller holds the lock and has made
// the files durable.
func (s *state) commit(dir string, c commit) error {
	for i := range c.Sources {
		t := &c.Sources[i]
		if path := cmp.Or(t.Also, t.Source.Path); path != "" {
			t.Rel = s.places.relative(dir, path)
		}
	}
	raw, err := json.Marshal(c)
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
	s.apply(c)
	s.chain, s.commits, s.chains[sum] = sum, s.commits+1, true
	s.end += int64(len(line)) + 1
	return nil
}
