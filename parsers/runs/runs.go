// Package runs reads what schedulers, trackers and agent traces say about who
// held which address when: one file a kind, one ordered list, All. Read gives
// the statements of one file; Join makes an inventory of the statements of many.
// It never guesses silently: what could not be read or joined is a note.
package runs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"firetrail"
)

// Kind is one sort of export. A new one is a file and a word in All.
type Kind struct {
	Name  string // what --kind takes
	Doc   string
	Sniff func(head []byte) bool // looks at the first bytes of the file, cut anywhere
	read  func(*file) error
}

// All are the kinds, most specific first; detection takes the first that accepts. Read-only.
var All = []Kind{
	pods, otlp, inspect, slurmJSON, sacct, scontrolJob, scontrolNode, mlflow, wandb, openHands, sandboxes, toolCalls,
	conntrack, dhcpLeases, runTable, hostsFile, nodeList,
}

// Options say how a file is read.
type Options struct {
	Kind         string         // name of a Kind, "" to detect
	Zone         *time.Location // of stamps without a zone (Slurm); nil means UTC, with a note
	RunAttribute string         // OpenTelemetry attribute that names the run, before the usual ones
}

// Statements are what the files say, before they are joined. The zero value is empty.
type Statements struct {
	jobs  []job
	pods  []pod
	rows  []row
	nodes []node
	calls []firetrail.ToolCall
	nat   []firetrail.NAT
	hosts []firetrail.Lease
	boxes []sandbox
	notes []string
}

// job is a scheduler's job.
type job struct {
	id, rawID                  string // "412391", "8012944_24093"; the raw id of an array task
	name, user, cluster, state string
	start, end                 int64
	endUnc                     int64 // a step may outlive the job's own record
	nodes                      []string
	where                      firetrail.Citation
}

// pod is a Kubernetes pod; the same uid in several snapshots is one pod.
type pod struct {
	uid, namespace, name, node, group string // group: the job, run or workload that it belongs to
	ips                               []string
	hostIP                            string
	hostNetwork                       bool
	created, start, ready, end        int64 // end Absent while it runs
	phase                             string
	labels                            map[string]string
	where                             firetrail.Citation
}

// row is a line of the run table of CLI.md.
type row struct {
	id, name, family, user, scheduler, cluster, namespace, jobID, jobName, state string
	start, end                                                                   int64
	hosts, ips                                                                   []string
	extra                                                                        map[string]string
	where                                                                        firetrail.Citation
}

// sandbox is an agent's sandbox: the address that it had, and the run that it served.
type sandbox struct {
	id, run, ip, host string
	start, end        int64
	shared            bool // the address is its host's
	where             firetrail.Citation
}

// node is a host and its addresses.
type node struct {
	name  string
	ips   []string
	where firetrail.Citation
}

// file is one file while it is read.
type file struct {
	path string
	data []byte
	opt  Options
	out  *Statements

	counted, lines int64 // see lineAt
}

// maxFile bounds an inventory file: they are read whole. sniffSize is how much of it
// its kind is judged by.
const (
	maxFile   = 1 << 30
	sniffSize = 4 << 20
)

// Read adds the statements of one file to s and names the kind that read it.
// Damaged records become notes; an error means that nothing of the file could
// be used.
func (s *Statements) Read(path string, r io.Reader, opt Options) (kind string, err error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return "", fmt.Errorf("read inventory: %w", err)
	}
	if len(data) > maxFile {
		return "", fmt.Errorf("inventory larger than %d bytes", maxFile)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	f := &file{path: path, data: data, opt: opt, out: s}
	for _, k := range All {
		if opt.Kind == k.Name || opt.Kind == "" && k.Sniff(data[:min(len(data), sniffSize)]) {
			if err := k.read(f); err != nil {
				return k.Name, fmt.Errorf("read %s: %w", k.Name, err)
			}
			return k.Name, nil
		}
	}
	if opt.Kind != "" {
		return "", fmt.Errorf("unknown kind %q; known: %s", opt.Kind, Names())
	}
	return "", errors.New("kind not recognised; name it with --kind (" + Names() + ")")
}

// Names lists the kinds for messages.
func Names() string {
	var names []string
	for _, k := range All {
		names = append(names, k.Name)
	}
	return strings.Join(names, ", ")
}

// note keeps a sentence about something that was not used.
func (f *file) note(line int64, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if line > 0 {
		text = fmt.Sprintf("%s:%d: %s", f.path, line, text)
	} else {
		text = f.path + ": " + text
	}
	f.out.notes = append(f.out.notes, text)
}

// cite is the place of a statement.
func (f *file) cite(line int64) firetrail.Citation {
	return firetrail.Citation{Source: f.path, Line: line}
}

// zone is the zone of stamps without one.
func (f *file) zone() *time.Location {
	if f.opt.Zone != nil {
		return f.opt.Zone
	}
	return time.UTC
}

// ReadFile is Read for a file that is kept in a case: zone is the name of a
// time zone or "".
func (s *Statements) ReadFile(path string, data []byte, kind, zone, runAttribute string) (string, error) {
	opt := Options{Kind: kind, RunAttribute: runAttribute}
	if zone != "" {
		at, err := time.LoadLocation(zone)
		if err != nil {
			return "", err
		}
		opt.Zone = at
	}
	return s.Read(path, bytes.NewReader(data), opt)
}
