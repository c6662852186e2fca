package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"firetrail"

	"github.com/spf13/cobra"
)

func newRaw(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "raw ID...",
		Short: "Print the original bytes of events, with file, line, offset and hash",
		Long: `Print the original bytes of events, read again from their source. Where they are
written to a terminal, control characters are made visible; redirected, the bytes
are exactly those of the source. File, line, offset and hash go to stderr.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.open()
			if err != nil {
				return err
			}
			defer c.Close()
			for _, id := range args {
				ev, err := c.Event(cmd.Context(), id)
				if err != nil {
					return err
				}
				raw, src, err := c.Raw(ev.Origin)
				if err != nil {
					return err
				}
				sum := sha256.Sum256(raw)
				switch a.format {
				case "json", "jsonl":
					e := firetrail.Evidence{Origin: ev.Origin, Path: src.Path, Time: ev.Time, SHA256: hex.EncodeToString(sum[:]), Raw: raw}
					out := a.rows()
					if err := out.object(e); err != nil {
						return err
					}
					if err := out.close(); err != nil {
						return err
					}
					continue
				}
				a.say("%s: %s:%d, offset %d, length %d, sha256 %s", ev.ID(), src.Path, ev.Line, ev.Offset, ev.Length, hex.EncodeToString(sum[:]))
				if isTerminal(a.stdout) {
					fmt.Fprintln(a.stdout, firetrail.InertRecord(string(raw)))
				} else if _, err := a.stdout.Write(append(raw, '\n')); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
