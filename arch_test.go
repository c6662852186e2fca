package firetrail_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room says what a package may import: packages of this module, and modules of others.
type room struct {
	own   string // packages below firetrail, "root" for the module's own
	third string // prefixes of import paths outside the standard library
}

// house is the table of ARCHITECTURE.md. A package that is not listed here is not allowed.
var house = map[string]room{
	"":                   {},
	"parsers":            {own: "root", third: "github.com/klauspost/compress github.com/ulikunitz/xz"},
	"parsers/runs":       {own: "root", third: "go.yaml.in/yaml/v3"},
	"index/query":        {own: "root"},
	"index/columns":      {own: "root", third: "github.com/parquet-go/parquet-go github.com/klauspost/compress"},
	"index/blocks":       {own: "root index/query", third: "github.com/blevesearch"},
	"index":              {own: "root parsers parsers/runs index/query index/columns index/blocks timeline", third: "golang.org/x/sync github.com/gofrs/flock github.com/klauspost/compress"},
	"timeline":           {own: "root"},
	"timeline/detect":    {own: "root", third: "golang.org/x/net/publicsuffix"},
	"timeline/attribute": {own: "root"},
	"timeline/report":    {own: "root timeline"},
	"tui":                {own: "root timeline", third: "charm.land github.com/charmbracelet golang.org/x/sys/unix"},
	"samples":            {own: "root"},
	"samples/simulate":   {own: "root"},
	"cmd/firetrail":      {own: "*", third: "github.com/spf13 golang.org/x/term charm.land"},
}

// onlyImporter names the one package that may import a module.
var onlyImporter = map[string]string{
	"github.com/parquet-go/parquet-go": "index/columns",
	"github.com/blevesearch":           "index/blocks",
	"github.com/spf13/cobra":           "cmd/firetrail",
}

// testOnly may be imported by tests of any package.
var testOnly = []string{"github.com/google/go-cmp", "github.com/rogpeppe/go-internal"}

// banned are package names that say nothing.
var banned = []string{"util", "utils", "common", "helpers", "types", "base", "misc"}

func TestArchitecture(t *testing.T) {
	seen := map[string]bool{}
	documented := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bench") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if dir == "." {
			dir = ""
		}
		seen[dir] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		test := strings.HasSuffix(path, "_test.go")
		if file.Doc != nil && !test {
			documented[dir] = true
		}
		checkFile(t, dir, path, file, test)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := range seen {
		if _, ok := house[dir]; !ok {
			t.Errorf("package %q is not in the house: add it to arch_test.go and ARCHITECTURE.md, or move it", dir)
		}
		if !documented[dir] {
			t.Errorf("package %q has no comment that says what it is for", dir)
		}
		if slices.Contains(banned, filepath.Base(dir)) {
			t.Errorf("package %q: the name says nothing", dir)
		}
	}
}

func checkFile(t *testing.T, dir, path string, file *ast.File, test bool) {
	r := house[dir]
	for _, spec := range file.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		if !test && !allowed(r, name) {
			t.Errorf("%s imports %s, which %q may not", path, name, dir)
		}
		if test && !allowed(r, name) && !slices.ContainsFunc(testOnly, func(p string) bool { return under(name, p) }) && !strings.HasPrefix(name, "firetrail") {
			t.Errorf("%s imports %s in a test", path, name)
		}
		for module, owner := range onlyImporter {
			if under(name, module) && owner != dir {
				t.Errorf("%s imports %s; only %s may", path, name, owner)
			}
		}
	}
	if test {
		return
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == "init" && f.Recv == nil {
			t.Errorf("%s has an init function", path)
		}
	}
	// Goroutines live in index; the terminal's own loop starts the commands of the TUI.
	if dir == "index" {
		return
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if _, ok := n.(*ast.GoStmt); ok {
			t.Errorf("%s starts a goroutine; only index may", path)
		}
		return true
	})
}

func under(name, prefix string) bool {
	return name == prefix || strings.HasPrefix(name, prefix+"/")
}

func allowed(r room, name string) bool {
	if name == "firetrail" || strings.HasPrefix(name, "firetrail/") {
		own := strings.TrimPrefix(strings.TrimPrefix(name, "firetrail"), "/")
		if own == "" {
			own = "root"
		}
		return r.own == "*" || slices.Contains(strings.Fields(r.own), own)
	}
	first, _, _ := strings.Cut(name, "/")
	if !strings.Contains(first, ".") {
		return true // standard library
	}
	return slices.ContainsFunc(strings.Fields(r.third), func(p string) bool { return under(name, p) })
}
