package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"firetrail"
	"firetrail/index"
	"firetrail/parsers/runs"

	"github.com/spf13/cobra"
)

func newRuns(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "Import, list and show training runs, their leases on addresses and their tool calls",
	}
	cmd.AddCommand(newRunsImport(a), newRunsList(a), newRunsShow(a))
	return cmd
}

func newRunsImport(a *app) *cobra.Command {
	var kind, zone, attribute string
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Import inventories: scheduler exports, run tables, tool calls, address tables",
		Long: `Import what schedulers, trackers and traces wrote. The files are joined, not
stacked: a job's nodes get their addresses from a node list, a pod its run from
a run table. Import files of several kinds at once; importing again adds to what
is there. Kinds: ` + runs.Names() + `.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opt := runs.Options{Kind: kind, RunAttribute: attribute}
			if zone != "" {
				at, err := time.LoadLocation(zone)
				if err != nil {
					return fmt.Errorf("--timezone: %w", err)
				}
				opt.Zone = at
			}
			return a.importRuns(args, opt)
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "", "kind of the files, where it is not recognised")
	cmd.Flags().StringVar(&zone, "timezone", "", "`zone` of stamps without one (Slurm), e.g. Europe/Zurich")
	cmd.Flags().StringVar(&attribute, "run-attribute", "", "OpenTelemetry `attribute` that names the run")
	return cmd
}

// importRuns reads the files together with those imported before, and joins them all.
func (a *app) importRuns(paths []string, opt runs.Options) error {
	c, err := a.create()
	if err != nil {
		return err
	}
	defer c.Close()
	partial := false
	var files []index.InventoryFile
	for _, path := range paths {
		data, err := a.readFile(path)
		if err != nil {
			return err
		}
		zone := ""
		if opt.Zone != nil {
			zone = opt.Zone.String()
		}
		files = append(files, index.InventoryFile{Path: path, Data: data, Kind: opt.Kind, Zone: zone, RunAttribute: opt.RunAttribute})
	}
	all, err := c.InventoryFiles(files)
	if err != nil {
		return fmt.Errorf("keep inventory files: %w", err)
	}
	inv, kinds, refused := joinFiles(all)
	for _, f := range all {
		err := refused[f.Path]
		if err == nil {
			if slices.Contains(paths, f.Path) {
				a.say("%s: read as %s", f.Path, kinds[f.Path])
			}
			continue
		}
		// What cannot be read now is not kept for later imports either.
		if derr := c.DropInventoryFile(f); derr != nil {
			return derr
		}
		a.complain(fmt.Errorf("%s: %w", f.Path, err))
		partial = true
	}
	if err := c.SaveInventory(inv); err != nil {
		return fmt.Errorf("save runs: %w", err)
	}
	leases := len(inv.Hosts)
	for i := range inv.Runs {
		leases += len(inv.Runs[i].Leases)
	}
	a.say("%d runs, %d leases, %d tool calls, %d translations", len(inv.Runs), leases, len(inv.Calls), len(inv.NAT))
	for _, n := range inv.Notes {
		a.say("note: %s", n)
	}
	if partial {
		return exit(exitPartial)
	}
	return nil
}

// joinFiles reads inventory files and joins them. It names, by path, the kind that
// read each file; files that cannot be read are left out, with their errors.
func joinFiles(files []index.InventoryFile) (inv firetrail.Inventory, kinds map[string]string, refused map[string]error) {
	var s runs.Statements
	kinds, refused = map[string]string{}, map[string]error{}
	for _, f := range files {
		kind, err := s.ReadFile(f.Path, f.Data, f.Kind, f.Zone, f.RunAttribute)
		if err != nil {
			refused[f.Path] = err
		}
		kinds[f.Path] = kind
	}
	return runs.Join(&s), kinds, refused
}

// readFile reads a named file or, for "-", stdin.
func (a *app) readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(a.stdin)
	}
	return os.ReadFile(path)
}

// leaseJSON is a lease as "runs list" prints it.
type leaseJSON struct {
	IP      string  `json:"ip"`
	Host    string  `json:"host,omitempty"`
	Name    string  `json:"name,omitempty"`
	Subject string  `json:"subject"`
	Start   *string `json:"start"`
	End     *string `json:"end"`
	Shared  bool    `json:"shared,omitempty"`
	Quality float64 `json:"quality"`
	Source  string  `json:"source"`
	Line    int64   `json:"line"`
}

// stampOrNull is null for an unknown time.
func stampOrNull(t int64) *string {
	if t == firetrail.Absent {
		return nil
	}
	return new(firetrail.Stamp(t))
}

// runJSON is a run as CLI.md promises it.
func runJSON(r *firetrail.Run) any {
	leases := []leaseJSON{}
	for _, l := range r.Leases {
		leases = append(leases, leaseJSON{firetrail.AddrText(l.IP), l.Host, l.Name, l.Subject, stampOrNull(l.Start), stampOrNull(l.End), l.Shared, l.Quality, l.Source, l.Line})
	}
	extra := map[string]string{}
	for _, f := range r.Extra {
		extra[f.Name] = f.Value
	}
	aliases := r.Aliases
	if aliases == nil {
		aliases = []string{}
	}
	return struct {
		ID      string            `json:"id"`
		Name    string            `json:"name,omitempty"`
		Family  string            `json:"family,omitempty"`
		User    string            `json:"user,omitempty"`
		Agentic bool              `json:"agentic"`
		State   string            `json:"state,omitempty"`
		Aliases []string          `json:"aliases"`
		Start   *string           `json:"start"`
		End     *string           `json:"end"`
		Leases  []leaseJSON       `json:"leases"`
		Extra   map[string]string `json:"extra,omitempty"`
	}{r.ID, r.Name, r.Family, r.User, r.Agentic, r.State, aliases, stampOrNull(r.Start), stampOrNull(r.End), leases, extra}
}

func newRunsList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the runs",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.open()
			if err != nil {
				return err
			}
			defer c.Close()
			inv, err := c.Inventory()
			if err != nil {
				return err
			}
			out := a.rows("id", "name", "family", "agentic", "start", "end", "leases", "calls", "aliases")
			calls := map[string]int{}
			for i := range inv.Calls {
				calls[inv.Calls[i].Run]++
			}
			for i := range inv.Runs {
				r := &inv.Runs[i]
				if out.format == "json" || out.format == "jsonl" {
					err = out.object(runJSON(r))
				} else {
					err = out.add(r.ID, r.Name, r.Family, r.Agentic, a.stamp(r.Start), a.stamp(r.End), len(r.Leases), calls[r.ID], r.Aliases)
				}
				if err != nil {
					return err
				}
			}
			return out.close()
		},
	}
}

func newRunsShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one run with its leases and tool calls; any alias names it",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.open()
			if err != nil {
				return err
			}
			defer c.Close()
			inv, err := c.Inventory()
			if err != nil {
				return err
			}
			r, err := findRun(&inv, args[0])
			if err != nil {
				return err
			}
			if f := a.output(); f == "json" || f == "jsonl" {
				return json.NewEncoder(a.stdout).Encode(runJSON(r))
			}
			return a.showRun(&inv, r)
		},
	}
}

// findRun finds a run by its id or an alias.
func findRun(inv *firetrail.Inventory, name string) (*firetrail.Run, error) {
	var found []*firetrail.Run
	for i := range inv.Runs {
		r := &inv.Runs[i]
		if r.ID == name {
			return r, nil
		}
		if slices.Contains(r.Aliases, name) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no run %q; see 'firetrail runs list'", name)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("%q names %d runs, %s among them; name one by its id", name, len(found), found[0].ID)
}

func (a *app) showRun(inv *firetrail.Inventory, r *firetrail.Run) error {
	w := a.stdout
	fmt.Fprintf(w, "%s  %s\n", firetrail.Inert(r.ID), firetrail.Inert(r.Name))
	for _, p := range [][2]string{{"family", r.Family}, {"user", r.User}, {"state", r.State}, {"from", a.stamp(r.Start)}, {"to", a.stamp(r.End)},
		{"said at", fmt.Sprintf("%s:%d", r.Where.Source, r.Where.Line)}} {
		if p[1] != "" {
			fmt.Fprintf(w, "  %-8s %s\n", p[0], firetrail.Inert(p[1]))
		}
	}
	for _, f := range r.Extra {
		fmt.Fprintf(w, "  %-8s %s\n", firetrail.Inert(f.Name), firetrail.Inert(f.Value))
	}
	fmt.Fprintf(w, "leases\n")
	for _, l := range r.Leases {
		fmt.Fprintf(w, "  %-16s %s to %s  %s %s  %s:%d\n", firetrail.AddrText(l.IP), cmp.Or(a.stamp(l.Start), "ever"), cmp.Or(a.stamp(l.End), "ever"), l.Subject,
			firetrail.Inert(cmp.Or(l.Name, l.Host)), firetrail.Inert(l.Source), l.Line)
	}
	fmt.Fprintf(w, "tool calls\n")
	for i := range inv.Calls {
		if t := &inv.Calls[i]; t.Run == r.ID {
			fmt.Fprintf(w, "  %s  %s %s\n", cmp.Or(a.stamp(t.Start), "no clock"), firetrail.Inert(t.Tool), firetrail.Inert(t.Args))
		}
	}
	return nil
}

// errNoRuns is said where a command needs an inventory.
var errNoRuns = errors.New("no runs in this case; import them with 'firetrail runs import FILE...'")
