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
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"firetrail"
	"firetrail/parsers"

	"golang.org/x/sync/errgroup"
)

const manifestName = "manifest.jsonl"

// A line of the manifest is {"commit":C,"sum":"S"}, where S is the SHA-256, in hex, of
// the former line's S and the bytes of C, so that no line can be changed, taken out or
// moved without all that follow.
const (
	lineBegin  = `{"commit":`
	lineMiddle = `,"sum":"`
	lineEnd    = "\"}\n"
)

// cutLine takes a line apart; ok is false if it is none.
func cutLine(line []byte) (commit []byte, sum string, ok bool) {
	body, begins := bytes.CutPrefix(line, []byte(lineBegin))
	body, ends := bytes.CutSuffix(body, []byte(lineEnd))
	at := len(body) - 2*sha256.Size - len(lineMiddle)
	if !begins || !ends || at < 0 || string(body[at:at+len(lineMiddle)]) != lineMiddle {
		return nil, "", false
	}
	return body[:at], string(body[at+len(lineMiddle):]), true
}

// commit is what becomes part of the case at once: content of sources, and files.
type commit struct {
	Drop     []string     `json:"drop,omitempty"` // names of files that no longer count
	Segments []segment    `json:"segments,omitempty"`
	Rejects  []rejectFile `json:"rejects,omitempty"` // files of quarantined records that hold those of dropped ones
	Sources  []taking     `json:"sources,omitempty"` // last: who opens a case to search it reads no further
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
	Start   beginning        `json:"start"`
	Rejects []rejectFile     `json:"rejects,omitempty"`
	Sums    string           `json:"sums,omitempty"` // SHA-256 of the chaining values of all content
	Tail    *tail            `json:"tail,omitempty"`
	State   parsers.State    `json:"state"`          // where and how reading goes on when the source grows
	Read    *readOptions     `json:"read,omitempty"` // options that were given

	values []byte // chaining values of all content, while it is taken in
	had    int64  // how many bytes of them are committed
	spool  *spool // copy of a stream, else nil
}

// tail are the records that the end of a source ends: mostly one without a line end.
// If the source grows, they are read again and their files are dropped.
type tail struct {
	Files  []string `json:"files,omitempty"`
	Before standing `json:"before"` // what is known of the source in front of them
}

// ErrManifest is wrapped where the manifest is not what was written.
var ErrManifest = errors.New("manifest is damaged")

// manifestError is the first bad line of the manifest, 0 where all of it is.
type manifestError struct {
	line int
	why  string
}

func (e *manifestError) Error() string {
	if e.line == 0 {
		return fmt.Sprintf("%s: %v: %s", manifestName, ErrManifest, e.why)
	}
	return fmt.Sprintf("%s:%d: %v: %s", manifestName, e.line, ErrManifest, e.why)
}
func (e *manifestError) Unwrap() error { return ErrManifest }

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
	files    map[string]int // number of the next file of a source that has any
	untidy   int            // how many files were dropped and may still lie there

	starts map[beginning][]*taken
	tiny   [startSize]int    // how many sources are as short, by size
	shorts map[string]string // sources that were as short once, by the SHA-256 they had then
}

func newState() *state {
	return &state{byID: map[string]*taken{}, segments: map[string]segment{}, chains: map[string]bool{"": true},
		starts: map[beginning][]*taken{}, shorts: map[string]string{}, places: folders{}, files: map[string]int{}}
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

// readManifest reads the manifest's file. Every case has one: without it, its files
// would be taken for what a killed writer left.
func readManifest(dir string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &manifestError{0, "it is missing"}
	} else if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return data, nil
}

// decodeState reads the lines of a manifest.
func decodeState(data []byte) (*state, error) {
	s := newState()
	if err := s.read(data); err != nil {
		return nil, err
	}
	return s, nil
}

// read takes lines of the manifest that follow those read so far.
func (s *state) read(data []byte) error {
	var raw [][]byte
	var bad error
	for line := range bytes.Lines(data) {
		if line[len(line)-1] != '\n' {
			break
		}
		c, sum, ok := cutLine(line)
		if !ok || sum != chain(s.chain, c) {
			bad = &manifestError{s.commits + 1, "checksum does not match"}
			break
		}
		raw = append(raw, c)
		s.chain, s.commits, s.chains[sum] = sum, s.commits+1, true
		s.end += int64(len(line))
	}
	commits := make([]commit, len(raw))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range raw {
		g.Go(func() error {
			if err := json.Unmarshal(raw[i], &commits[i]); err != nil {
				return &manifestError{s.commits - len(raw) + i + 1, err.Error()}
			}
			return nil
		})
	}
	if err := cmp.Or(g.Wait(), bad); err != nil {
		return err
	}
	for i := range commits {
		s.apply(&commits[i])
	}
	return nil
}

// snapshot freezes the state for readers: what is known of a source is never changed,
// only replaced.
func (s *state) snapshot() *snapshot {
	v := &snapshot{commits: s.commits, chain: s.chain, byID: maps.Clone(s.byID)}
	v.sources = make([]firetrail.Source, 0, len(s.byID))
	for _, t := range s.byID {
		v.sources = append(v.sources, t.Source)
	}
	slices.SortFunc(v.sources, compareSources)
	v.segments = make([]segment, 0, len(s.segments))
	for _, seg := range s.segments {
		v.segments = append(v.segments, seg)
	}
	slices.SortFunc(v.segments, func(a, b segment) int { return strings.Compare(a.Name, b.Name) })
	return v
}

// apply adds a commit.
func (s *state) apply(c *commit) {
	for i := range c.Sources {
		s.take(&c.Sources[i])
	}
	for _, name := range c.Drop {
		delete(s.segments, name)
	}
	s.untidy += len(c.Drop)
	s.dropRejects(c)
	for _, seg := range c.Segments {
		s.segments[seg.Name] = seg
		s.named(seg.Name)
	}
}

// dropRejects takes files of quarantined records out and puts the one that holds their
// records in the place of the first.
func (s *state) dropRejects(c *commit) {
	for _, name := range c.Drop {
		t := s.byID[owner(name)]
		if t == nil {
			continue
		}
		at := slices.IndexFunc(t.rejects, func(r rejectFile) bool { return r.Name == name })
		if at < 0 {
			continue
		}
		n := *t
		n.rejects = slices.Delete(slices.Clone(t.rejects), at, at+1)
		if i := slices.IndexFunc(c.Rejects, func(r rejectFile) bool { return owner(r.Name) == t.ID }); i >= 0 {
			if !slices.ContainsFunc(n.rejects, func(r rejectFile) bool { return r.Name == c.Rejects[i].Name }) {
				n.rejects = slices.Insert(n.rejects, at, c.Rejects[i])
				s.named(c.Rejects[i].Name)
			}
		}
		s.replace(t, &n)
	}
}

// take adds content of a source.
func (s *state) take(c *taking) {
	t, was := taken{}, s.byID[c.Source.ID]
	if was != nil {
		t = *was
	}
	if c.Rel != "" && !slices.Contains(t.rels, c.Rel) {
		t.rels = append(slices.Clip(t.rels), c.Rel)
	}
	if c.Also != "" {
		t.also = append(slices.Clip(t.also), c.Also)
		s.replace(was, &t)
		return
	}
	facts := slices.Concat(t.Facts[:t.standing().Facts], c.Source.Facts)
	t.Source, t.last = c.Source, *c
	t.last.Source, t.last.values, t.last.spool, t.Facts = firetrail.Source{}, nil, nil, facts
	if c.More {
		t.Problem = fmt.Sprintf("only its first %d bytes are taken in so far; the next ingest goes on", t.Size)
	}
	t.known = append(slices.Clip(t.known), prefix{t.Size, t.SHA256})
	if t.Size < startSize {
		s.shorts[t.SHA256] = t.ID
	}
	t.rejects = append(slices.Clip(t.rejects), c.Rejects...)
	s.replace(was, &t)
	for _, r := range c.Rejects {
		s.named(r.Name)
	}
}

// replace puts what is known of a source in the place of what was, nil if it is new.
func (s *state) replace(was, t *taken) {
	if was != nil {
		s.starts[was.last.Start] = slices.DeleteFunc(s.starts[was.last.Start], func(o *taken) bool { return o == was })
		if was.Size < startSize {
			s.tiny[was.Size]--
		}
	}
	s.byID[t.ID] = t
	s.starts[t.last.Start] = append(s.starts[t.last.Start], t)
	if t.Size < startSize {
		s.tiny[t.Size]++
	}
}

// fileName names a file by the source of its first record: "<source>-<number>".
func fileName(source string, number int) string { return fmt.Sprintf("%s-%06d", source, number) }

// cutName is the source and the number of a name, -1 of one that fileName does not give.
func cutName(name string) (source string, number int) {
	source, digits, _ := strings.Cut(name, "-")
	number, err := strconv.Atoi(digits)
	if err != nil {
		return source, -1
	}
	return source, number
}

// owner is the source by which a file is named.
func owner(name string) string {
	source, _ := cutName(name)
	return source
}

// was reports whether a file of that name was committed once: numbers are given in
// their order.
func (s *state) was(name string) bool {
	source, n := cutName(name)
	return n >= 0 && n < s.files[source]
}

// named notes that a name is taken.
func (s *state) named(name string) {
	if source, n := cutName(name); n >= 0 {
		s.files[source] = max(s.files[source], n+1)
	}
}

// alike gives the sources that may be, begin or continue an input with this head:
// from the shortest to the longest.
func (s *state) alike(head []byte) []*taken {
	var all []*taken
	start := beginning(firstBeginning)
	for size := range min(len(head), startSize) {
		if s.tiny[size] > 0 {
			all = append(all, s.starts[start]...)
		}
		start = start.add(head[size])
	}
	if len(head) < startSize { // what began so has another start by now
		if t := s.byID[s.shorts[headOf(head)]]; t != nil && t.Size > int64(len(head)) {
			all = append(all, t)
		}
	}
	sum := ""
	for _, t := range s.starts[start] {
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

// beginning is a hash of the first startSize bytes of a source, of all if they are fewer,
// by which sources are found that may be alike: FNV-1a, which gives it for every length
// on the way.
type beginning uint64

const firstBeginning, fnvPrime = 14695981039346656037, 1099511628211

func (h beginning) add(c byte) beginning { return (h ^ beginning(c)) * fnvPrime }

func startOf(head []byte) beginning {
	h := beginning(firstBeginning)
	for _, c := range head[:min(len(head), startSize)] {
		h = h.add(c)
	}
	return h
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
	line := slices.Concat([]byte(lineBegin), raw, []byte(lineMiddle), []byte(sum), []byte(lineEnd))
	f, err := os.OpenFile(filepath.Join(dir, manifestName), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(s.end); err != nil { // a torn line of a crash
		return fmt.Errorf("commit: %w", err)
	}
	if _, err := f.WriteAt(line, s.end); err != nil {
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
	s.apply(&c)
	s.chain, s.commits, s.chains[sum] = sum, s.commits+1, true
	s.end += int64(len(line))
	return nil
}
