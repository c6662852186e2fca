package index

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
)

const (
	custodyName = "custody.jsonl"
	custodyHead = "custody.head"
)

// CustodyEntry says who did what to the case.
type CustodyEntry struct {
	Time     string   `json:"time"` // RFC 3339 in UTC; Log fills it where it is ""
	Who      string   `json:"who"`  // user@host; Log fills it where it is ""
	Action   string   `json:"action"`
	Args     []string `json:"args,omitempty"`
	Text     string   `json:"text,omitempty"`
	Manifest string   `json:"manifest,omitempty"` // checksum of the manifest then; filled by Log
}

// custodyLine is a line of custody.jsonl, chained as the manifest is.
type custodyLine struct {
	Entry json.RawMessage `json:"entry"`
	Sum   string          `json:"sum"`
}

// head pins the end of the custody log, so that a cut is seen.
type head struct {
	Entries int    `json:"entries"`
	Sum     string `json:"sum"`
}

// emptyHead is the end of a log without entries.
const emptyHead = `{"entries":0,"sum":""}` + "\n"

// Log appends an entry to the custody log and makes it durable. Processes that
// log at the same time wait for each other. Where the log does not go on from its end
// as that was recorded, the record stays: Verify goes on to say so.
func (c *Case) Log(e CustodyEntry) error {
	l := flock.New(filepath.Join(c.dir, custodyName+".lock"), flock.SetPermissions(0o600))
	if err := l.Lock(); err != nil {
		return fmt.Errorf("custody log: %w", err)
	}
	defer l.Unlock()
	log, err := loadCustody(c.dir)
	if err != nil {
		return err
	}
	if log.bad != "" {
		return fmt.Errorf("custody log: line %d: %s; see 'firetrail verify'", log.entries+1, log.bad)
	}
	_, wrong, err := c.checkEnd(log)
	if err != nil {
		return err
	}
	if e.Time == "" {
		e.Time = time.Now().UTC().Format(time.RFC3339)
	}
	if e.Who == "" {
		e.Who = who()
	}
	e.Manifest = c.parts().chain
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	sum := chain(log.sum, raw)
	line, err := json.Marshal(custodyLine{raw, sum})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(c.dir, custodyName), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("custody log: %w", err)
	}
	if err := f.Truncate(log.end); err != nil { // a torn line of a crash
		f.Close()
		return fmt.Errorf("custody log: %w", err)
	}
	if _, err := f.WriteAt(append(line, '\n'), log.end); err != nil {
		f.Close()
		return fmt.Errorf("custody log: %w", err)
	}
	if err := closeSynced(f); err != nil || wrong != "" {
		return err
	}
	return c.pin(head{log.entries + 1, sum})
}

// pin records the end of the custody log. A crash may come between an entry and
// its record, so the log may be longer than the record says, never shorter.
func (c *Case) pin(h head) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return c.writeAtomic(custodyHead, append(b, '\n'))
}

func who() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

// custody is what the custody log says of itself.
type custody struct {
	entries   int // good ones, from the start
	sum       string
	end       int64    // bytes of the good lines
	bad       string   // why the line after them is bad, "" if the log is whole
	manifests []string // checksums of the manifest that entries name
	sums      []string // of each line
}

// Custody returns the entries of the custody log, oldest first. The error says
// which line is the first that is not as it was written.
func (c *Case) Custody() ([]CustodyEntry, error) {
	var list []CustodyEntry
	log, err := readCustody(c.dir, func(e CustodyEntry) { list = append(list, e) })
	if err == nil && log.bad != "" {
		err = fmt.Errorf("custody log: line %d: %s", log.entries+1, log.bad)
	}
	return list, err
}

func loadCustody(dir string) (*custody, error) { return readCustody(dir, func(CustodyEntry) {}) }

func readCustody(dir string, visit func(CustodyEntry)) (*custody, error) {
	log := &custody{}
	data, err := os.ReadFile(filepath.Join(dir, custodyName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read custody log: %w", err)
	}
	for line := range bytes.Lines(data) {
		var l custodyLine
		var e CustodyEntry
		if err := json.Unmarshal(line, &l); err != nil || line[len(line)-1] != '\n' {
			if log.end+int64(len(line)) < int64(len(data)) || line[len(line)-1] == '\n' {
				log.bad = "no entry"
			}
			break // a last line that a crash cut off was never acknowledged
		}
		sum := chain(log.sum, l.Entry)
		if sum != l.Sum {
			log.bad = "checksum does not match"
			break
		}
		if err := json.Unmarshal(l.Entry, &e); err != nil {
			log.bad = "no entry"
			break
		}
		visit(e)
		log.entries++
		log.sum, log.end = sum, log.end+int64(len(line))
		log.manifests, log.sums = append(log.manifests, e.Manifest), append(log.sums, sum)
	}
	return log, nil
}

// checkCustody says what is wrong with the custody log: a line that was changed,
// put in, taken out or moved, or a tail that was cut.
func (c *Case) checkCustody(chains map[string]bool) (entries int, problems []Problem, err error) {
	log, err := loadCustody(c.dir)
	if err != nil {
		return 0, nil, err
	}
	bad := func(line int, text string) {
		problems = append(problems, Problem{Path: custodyName, Line: line, Text: text})
	}
	if log.bad != "" {
		bad(log.entries+1, log.bad)
		return log.entries, problems, nil
	}
	if i := log.unknown(chains); i >= 0 {
		bad(i+1, "the manifest has no line with the checksum that it had then: lines are missing")
	}
	line, wrong, err := c.checkEnd(log)
	if wrong != "" {
		bad(line, wrong)
	}
	return log.entries, problems, err
}

// unknown is the first entry that names a checksum that no line of the manifest has, -1
// if there is none.
func (log *custody) unknown(chains map[string]bool) int {
	return slices.IndexFunc(log.manifests, func(m string) bool { return m != "" && !chains[m] })
}

// checkCommits refuses to write to a case whose manifest has lost lines, other than the
// last one to a crash: the files that they named would be taken for what a killed writer
// left.
func (c *Case) checkCommits(st *state) error {
	log, err := loadCustody(c.dir)
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(c.dir, manifestName))
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	if i := log.unknown(st.chains); i >= 0 && info.Size() == st.end {
		return &manifestError{st.commits + 1, fmt.Sprintf("lines are missing that %s:%d knows of", custodyName, i+1)}
	}
	return nil
}

// checkEnd compares the custody log with the record of its end: wrong says what does
// not match, and in which line of the log, "" if nothing.
func (c *Case) checkEnd(log *custody) (line int, wrong string, err error) {
	pin, err := os.ReadFile(filepath.Join(c.dir, custodyHead))
	if errors.Is(err, fs.ErrNotExist) {
		return log.entries, "the record of the log's end is missing", nil
	} else if err != nil {
		return 0, "", fmt.Errorf("read custody log: %w", err)
	}
	var h head
	switch err := json.Unmarshal(pin, &h); {
	case err != nil || h.Entries < 0:
		return 0, "the record of the log's end is damaged", nil
	case h.Entries > log.entries:
		return log.entries + 1, fmt.Sprintf("the log ends here, but had %d entries", h.Entries), nil
	case h.Entries > 0 && log.sums[h.Entries-1] != h.Sum:
		return h.Entries, "the entry is not the one that was written last", nil
	}
	return 0, "", nil
}
