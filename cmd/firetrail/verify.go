package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"firetrail"
	"firetrail/index"

	"github.com/spf13/cobra"
)

func newVerify(a *app) *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "verify [REPORT]",
		Short: "Re-read evidence and the custody log; say what no longer matches (exit 4)",
		Long: `Without an argument, check the whole case: sources against their hashes, segments,
rollups, the manifest and the custody chain. With a report (HTML, Markdown or JSON),
re-read every record that it cites and compare it with the hash that it gives.

With --repair, make derived files anew that are missing or damaged: block indexes
and rollups from their segments, segments from their sources. A segment whose
source is gone is isolated: answers do without it and say so. Evidence, the
manifest and the custody log are never changed; what does not match in them is
reported as before.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.open()
			if err != nil {
				return err
			}
			defer c.Close()
			if len(args) == 1 {
				if repair {
					return errors.New("--repair is for a case, not for a report")
				}
				return a.verifyReport(c, args[0])
			}
			if repair {
				if err := a.repairCase(cmd, c); err != nil {
					return noCase(err)
				}
			}
			return a.verifyCase(cmd, c)
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "make derived files anew that are missing or damaged")
	return cmd
}

// repairCase says what was made anew and what could not be.
func (a *app) repairCase(cmd *cobra.Command, c *index.Case) error {
	r, err := c.Repair(cmd.Context(), nil)
	for _, name := range r.Made {
		a.say("%s: made anew", name)
	}
	for i := range r.Isolated {
		a.say("%v", &r.Isolated[i])
	}
	for _, text := range r.Failed {
		a.say("%s", text)
	}
	return err
}

// verifyCase checks everything, and names the findings that a damaged source touches.
func (a *app) verifyCase(cmd *cobra.Command, c *index.Case) error {
	rep, err := c.Verify(cmd.Context(), nil)
	if err != nil {
		return err
	}
	for _, p := range rep.Problems {
		a.line("%s", problemText(&p))
	}
	r, ok, err := c.Results()
	if err != nil {
		return err
	}
	bad := len(rep.Problems)
	if ok {
		bad += a.verifyFindings(c, &r)
	}
	if bad > 0 {
		return &exitError{exitIntegrity, fmt.Errorf("%d things do not match; what is derived can be made anew: 'firetrail verify --repair'", bad)}
	}
	if rep.Unindexed > 0 {
		a.say("%d segments have no block index: searches read all of them; 'firetrail verify --repair' makes it", rep.Unindexed)
	}
	for _, s := range rep.Missing {
		a.say("%s: not where it was; what was taken in from it cannot be compared", s.Path)
	}
	a.say("verified: %d sources (%d bytes), %d segments, %d commits, %d entries of the custody log", rep.Sources, rep.Bytes, rep.Segments, rep.Commits, rep.Entries)
	return nil
}

// problemText says where something does not match.
func problemText(p *index.Problem) string {
	where := p.Path
	if p.Line > 0 {
		where += fmt.Sprintf(":%d", p.Line)
	}
	if p.Length > 0 {
		where += fmt.Sprintf(" bytes %d to %d", p.Offset, p.Offset+p.Length)
	}
	return where + ": " + p.Text
}

// verifyFindings re-reads the evidence of every finding.
func (a *app) verifyFindings(c *index.Case, r *firetrail.Results) int {
	bad := 0
	for i := range r.Findings {
		for k := range r.Findings[i].Evidence {
			e := &r.Findings[i].Evidence[k]
			if e.SHA256 == "" { // correlate could not read it either, and said so
				continue
			}
			if err := checkRecord(c, e.Origin, e.SHA256); err != nil {
				a.line("finding %s: evidence %s at %s:%d: %v", r.Findings[i].ID, e.ID(), e.Path, e.Line, err)
				bad++
			}
		}
	}
	return bad
}

// checkRecord re-reads a record and compares its hash.
func checkRecord(c *index.Case, o firetrail.Origin, want string) error {
	raw, _, err := c.Raw(o)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); got != want {
		return fmt.Errorf("the record's hash is %s, not %s", got, want)
	}
	return nil
}

// citation is what a report says of a record.
type citation struct {
	origin firetrail.Origin
	sha256 string
}

func (a *app) verifyReport(c *index.Case, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	cited := citations(data)
	if len(cited) == 0 {
		return fmt.Errorf("%s cites no record: it is no report of Firetrail, or nothing was found", path)
	}
	bad := 0
	for _, e := range cited {
		if err := checkRecord(c, e.origin, e.sha256); err != nil {
			a.line("%s: %v", e.origin.ID(), err)
			bad++
		}
	}
	if bad > 0 {
		return &exitError{exitIntegrity, fmt.Errorf("%d of %d cited records do not match", bad, len(cited))}
	}
	a.say("verified: %d cited records match their sources", len(cited))
	return nil
}

// reference is how HTML and Markdown cite a record: see report.Reference.
var reference = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`e-([0-9a-f]{16})-(\d+)\+(\d+) sha256:([0-9a-f]{64})`)
})

// citations finds every record that a report cites, each once.
func citations(data []byte) []citation {
	var out []citation
	seen := map[citation]bool{}
	add := func(id string, length int64, sum string) {
		source, offset, ok := strings.Cut(strings.TrimPrefix(id, "e-"), "-")
		n, err := strconv.ParseInt(offset, 10, 64)
		e := citation{firetrail.Origin{Source: source, Offset: n, Length: length}, sum}
		if ok && err == nil && !seen[e] {
			seen[e] = true
			out = append(out, e)
		}
	}
	var doc struct {
		Findings []struct {
			Evidence []struct {
				Event, SHA256 string
				Length        int64
			}
		}
	}
	if json.Unmarshal(data, &doc) == nil {
		for _, f := range doc.Findings {
			for _, e := range f.Evidence {
				add(e.Event, e.Length, e.SHA256)
			}
		}
		return out
	}
	for _, m := range reference().FindAllStringSubmatch(html.UnescapeString(string(data)), -1) {
		length, _ := strconv.ParseInt(m[3], 10, 64)
		add("e-"+m[1]+"-"+m[2], length, m[4])
	}
	return out
}
