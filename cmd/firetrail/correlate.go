package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
	"firetrail/index"
	"firetrail/parsers/runs"
	"firetrail/timeline"
	"firetrail/timeline/attribute"
	"firetrail/timeline/detect"

	"github.com/spf13/cobra"
)

// correlateFlags say how a case is judged.
type correlateFlags struct {
	internal, sandboxes, bastions, allow, only, thresholds []string
	failOn                                                 string
}

func newCorrelate(a *app) *cobra.Command {
	var f correlateFlags
	cmd := &cobra.Command{
		Use:   "correlate",
		Short: "Run the detectors, attribute findings to runs, build incidents",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.failOn != "" && firetrail.SeverityRank(f.failOn) < 0 {
				return fmt.Errorf("--fail-on %q: expected critical, high, medium, low or info", f.failOn)
			}
			c, err := a.create()
			if err != nil {
				return err
			}
			defer c.Close()
			if len(c.Sources()) == 0 {
				return fmt.Errorf("the case %s holds no events; take logs in with 'firetrail ingest PATH'", c.Dir())
			}
			keepSmall()
			results, err := a.correlate(cmd.Context(), c, &f)
			if err != nil {
				return err
			}
			if err := c.SaveResults(results); err != nil {
				return fmt.Errorf("save results: %w", err)
			}
			a.summarise(&results)
			return f.verdict(&results)
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&f.internal, "internal", nil, "our own networks, `CIDR`, repeatable (default: private ranges, marked as assumed)")
	fl.StringSliceVar(&f.sandboxes, "sandboxes", nil, "networks of pods and sandboxes, `CIDR`")
	fl.StringSliceVar(&f.bastions, "bastion", nil, "SSH gateways that people are meant to use, `address`")
	fl.StringArrayVar(&f.allow, "allow", nil, "allow list, YAML or CSV `file`; repeatable")
	fl.StringSliceVar(&f.only, "only", nil, "only these `detectors`")
	fl.StringArrayVar(&f.thresholds, "set", nil, "threshold of a detector: `DETECTOR.NAME=VALUE`, repeatable")
	fl.StringVar(&f.failOn, "fail-on", "", "exit 10 if a finding has at least this `severity`")
	return cmd
}

// config turns the flags into the detectors' configuration.
func (f *correlateFlags) config(a *app, inv *firetrail.Inventory) (detect.Config, error) {
	cfg := detect.Config{Only: f.only, NAT: inv.NAT}
	var err error
	if cfg.Internal, err = prefixes("--internal", f.internal); err != nil {
		return cfg, err
	}
	if cfg.Sandboxes, err = prefixes("--sandboxes", f.sandboxes); err != nil {
		return cfg, err
	}
	for _, b := range f.bastions {
		ip, err := netip.ParseAddr(b)
		if err != nil {
			return cfg, fmt.Errorf("--bastion: %w", err)
		}
		cfg.Bastions = append(cfg.Bastions, ip)
	}
	for _, path := range f.allow {
		data, err := a.readFile(path)
		if err != nil {
			return cfg, err
		}
		list, err := runs.ReadAllow(path, data)
		if err != nil {
			return cfg, err
		}
		cfg.Allow = append(cfg.Allow, list...)
	}
	for _, name := range f.only {
		if _, ok := detect.Named(name); !ok {
			return cfg, fmt.Errorf("--only: no detector %q; see 'firetrail detectors'", name)
		}
	}
	cfg.Thresholds, err = thresholds(f.thresholds)
	// Pods and sandboxes that the inventory knows need no flag.
	for i := range inv.Runs {
		for _, l := range inv.Runs[i].Leases {
			cfg.Held = append(cfg.Held, l.IP)
			if (l.Subject == "pod" || l.Subject == "sandbox") && !l.Shared {
				cfg.Sandboxes = append(cfg.Sandboxes, netip.PrefixFrom(l.IP, l.IP.BitLen()))
			}
		}
	}
	slices.SortFunc(cfg.Sandboxes, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	cfg.Sandboxes = slices.Compact(cfg.Sandboxes)
	return cfg, err
}

// prefixes reads networks; a bare address is a network of one.
func prefixes(flag string, list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			ip, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return nil, fmt.Errorf("%s %q: expected a network such as 10.0.0.0/8, or an address", flag, s)
			}
			p = netip.PrefixFrom(ip, ip.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func thresholds(list []string) (map[string]float64, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := map[string]float64{}
	for _, s := range list {
		name, value, _ := strings.Cut(s, "=")
		var v float64
		if _, err := fmt.Sscanf(value, "%g", &v); err != nil {
			return nil, fmt.Errorf("--set %q: expected DETECTOR.NAME=VALUE", s)
		}
		out[name] = v
	}
	return out, nil
}

// correlate is the second half of the straight line: flows and events to
// findings, to runs, to incidents, to causes.
func (a *app) correlate(ctx context.Context, c *index.Case, f *correlateFlags) (firetrail.Results, error) {
	inv, err := c.Inventory()
	if err != nil {
		return firetrail.Results{}, err
	}
	cfg, err := f.config(a, &inv)
	if err != nil {
		return firetrail.Results{}, err
	}
	found, err := detect.Run(ctx, c, cfg)
	if err != nil {
		return firetrail.Results{}, fmt.Errorf("detect: %w", err)
	}
	clocks, err := readClocks(ctx, c, &inv)
	if err != nil {
		return firetrail.Results{}, err
	}
	for _, hint := range clocks.hints() {
		a.say("%s", hint)
	}
	opt := attribute.Options{Guessed: clocks.guesses(), Offsets: clocks.offsets()}
	behind, err := translations(ctx, c, found.Findings, opt.Offsets)
	if err != nil {
		return firetrail.Results{}, fmt.Errorf("translated addresses: %w", err)
	}
	inv.NAT = append(slices.Clip(inv.NAT), behind...)
	who := attribute.NewIndex(inv, opt)
	who.Findings(found.Findings)
	detect.Corroborate(found.Findings)
	findings, byRun := detect.SuppressRuns(found.Findings, cfg.Allow, c.Last())
	found.Suppressed = append(found.Suppressed, byRun...)
	unread, err := fillEvidence(ctx, c, findings)
	if err != nil {
		return firetrail.Results{}, err
	}
	sources := clocks.sources
	silent, err := gaps(ctx, c, sources)
	if err != nil {
		return firetrail.Results{}, err
	}
	incidents := timeline.Incidents(findings, timeline.Options{Gateways: gateways(inv.NAT)})
	who.Causes(incidents, findings, observed(sources, silent, opt.Offsets))
	r := firetrail.Results{
		Tool: "firetrail " + version(), Parameters: found.Parameters, Findings: findings, Incidents: incidents,
		Suppressed: found.Suppressed, Untestable: found.Untestable, Coverage: silent,
	}
	r.Reasons = append(incomplete(sources, found.Undated), unread...)
	r.Complete = len(r.Reasons) == 0
	if len(inv.Runs) == 0 {
		a.say("%v", errNoRuns)
	}
	return r, nil
}

// fillEvidence reads the bytes of every cited record. Where a source is gone or has
// changed, its records stay cited without their bytes; the sentences say so.
func fillEvidence(ctx context.Context, c *index.Case, findings []firetrail.Finding) (unread []string, err error) {
	var all []*firetrail.Evidence
	for i := range findings {
		for k := range findings[i].Evidence {
			all = append(all, &findings[i].Evidence[k])
		}
	}
	slices.SortStableFunc(all, func(a, b *firetrail.Evidence) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Offset, b.Offset))
	})
	origins := make([]firetrail.Origin, len(all))
	for i, e := range all {
		origins[i] = e.Origin
	}
	records, err := c.Records(ctx, origins)
	if err != nil {
		return nil, err
	}
	lost := ""
	for i, e := range all {
		r := &records[i]
		e.Path = r.Source.Path
		if r.Err != nil {
			e.Note = "the record could not be read again"
			if e.Source != lost {
				lost = e.Source
				unread = append(unread, fmt.Sprintf("evidence of %s could not be read again: %v", r.Source.Path, r.Err))
			}
			continue
		}
		sum := sha256.Sum256(r.Raw)
		e.Raw, e.SHA256 = r.Raw, hex.EncodeToString(sum[:])
	}
	return unread, nil
}

// guesses are the sources whose zone or year nobody named: their provenance
// says "assumed" or "guessed" (parsers.Clock.Describe). A zone that another clock
// confirms or corrects is a guess no longer.
func (k *clockwork) guesses() map[string]firetrail.Guess {
	out := map[string]firetrail.Guess{}
	for i, s := range k.sources {
		if strings.Contains(s.Zone, "assumed") && !k.sure(i) {
			out[s.ID] |= firetrail.GuessZone
		}
		if s.Year != "" && !strings.Contains(s.Year, "given") {
			out[s.ID] |= firetrail.GuessYear
		}
	}
	return out
}

// several prints a count with its noun.
func several(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// summarise says what was found.
func (a *app) summarise(r *firetrail.Results) {
	attributed := 0
	for i := range r.Incidents {
		if r.Incidents[i].Run != nil {
			attributed++
		}
	}
	a.say("%s in %s, %d of them attributed to a run", several(int64(len(r.Findings)), "finding"), several(int64(len(r.Incidents)), "incident"), attributed)
	for _, s := range r.Suppressed {
		if s.Findings > 0 {
			a.say("allow list: %s kept %s out (%s)", s.Entry, several(s.Findings, "finding"), s.Reason)
		}
		if s.Expired {
			a.say("allow list: %s at %s:%d has expired and was not used", s.Entry, s.Where.Source, s.Where.Line)
		}
	}
	for _, u := range r.Untestable {
		a.say("%s: %s", u.Detector, u.Reason)
	}
	for _, reason := range r.Reasons {
		a.say("incomplete: %s", reason)
	}
	if len(r.Incidents) > 0 {
		a.say("see them with 'firetrail incidents' or 'firetrail tui'")
	}
}

// verdict is the exit code: findings at or above --fail-on, else done.
func (f *correlateFlags) verdict(r *firetrail.Results) error {
	if f.failOn == "" {
		return nil
	}
	for i := range r.Findings {
		if firetrail.SeverityRank(r.Findings[i].Severity) >= firetrail.SeverityRank(f.failOn) {
			return exit(exitFindings)
		}
	}
	return nil
}
