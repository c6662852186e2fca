// Package samples holds our own sample logs: one folder a format with golden
// parses, for the parsers' tests, and "lab", a small coherent story for the
// demonstration: three days of a training cluster in which four agentic runs do
// what nobody ordered, next to traffic that only looks so. All addresses are
// private or reserved for documentation (RFC 5737, RFC 3849).
package samples

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

//go:embed lab
var lab embed.FS

// labWritten is when the story's files were last written: the evidence for the
// year of stamps that have none.
var labWritten = time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)

// WriteLab writes the story below dir: logs/, inventory/ and allow.yaml.
func WriteLab(dir string) error {
	return fs.WalkDir(lab, "lab", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("lab", filepath.FromSlash(name))
		if err != nil {
			return err
		}
		path := filepath.Join(dir, rel)
		if d.IsDir() {
			return os.MkdirAll(path, 0o700)
		}
		data, err := lab.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return fmt.Errorf("write sample: %w", err)
		}
		return os.Chtimes(path, labWritten, labWritten)
	})
}
