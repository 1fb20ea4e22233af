package raygo_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Bounds on sizes. A file holds one idea and a function does one thing; what
// grows past these has become two.
const (
	maxFile     = 500 // lines of a file that is not generated, tests included
	maxFunction = 120 // lines of a function that is not a test
	maxRoot     = 500 // lines of the root package without tests
)

// unfinished are words of work that is not done. They are put together here so
// that this file does not have them.
var unfinished = regexp.MustCompile(`\b(` + "TO" + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b|(?i:\bfor ` + `now\b|not (yet )?imple` + `mented|\bunimple` + `mented)`)

// generated is the line that says a file is written by a program.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// source is one parsed file.
type source struct {
	pkg  *pkg
	path string // relative to the module's root
	text []byte
	file *ast.File
	test bool
}

func (s source) generated() bool { return generated.Match(s.text) }

// sources parses every file of the module.
func sources(t *testing.T) (*token.FileSet, []source) {
	t.Helper()
	fset := token.NewFileSet()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	for _, p := range packages(t) {
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			s := source{pkg: p, test: strings.HasSuffix(name, "_test.go")}
			if s.path, err = filepath.Rel(root, filepath.Join(p.Dir, name)); err != nil {
				t.Fatal(err)
			}
			if s.text, err = os.ReadFile(s.path); err != nil {
				t.Fatal(err)
			}
			if s.file, err = parser.ParseFile(fset, s.path, s.text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
	}
	return fset, all
}

func lines(text []byte) int { return bytes.Count(text, []byte{'\n'}) }

func TestFilesAndFunctionsAreSmall(t *testing.T) {
	fset, all := sources(t)
	root := 0
	for _, s := range all {
		if s.generated() {
			continue
		}
		n := lines(s.text)
		if n > maxFile {
			t.Errorf("%s has %d lines, at most %d are allowed: move one of its ideas to a file of its own", s.path, n, maxFile)
		}
		if s.pkg.short() == "." && !s.test {
			root += n
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || s.test {
				continue
			}
			if n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines, at most %d are allowed: give its parts names", fset.Position(f.Pos()), f.Name.Name, n, maxFunction)
			}
		}
	}
	if root >= maxRoot {
		t.Errorf("the root package has %d lines, fewer than %d are allowed: it holds words that several packages share; move the rest to the package that uses it", root, maxRoot)
	}
}

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	_, all := sources(t)
	said := map[*pkg]string{}
	for _, s := range all {
		if s.test {
			continue
		}
		if _, ok := said[s.pkg]; !ok {
			said[s.pkg] = ""
		}
		if s.file.Doc != nil {
			said[s.pkg] = s.file.Doc.Text()
		}
	}
	for p, doc := range said {
		first, _, _ := strings.Cut(strings.ReplaceAll(doc, "\n", " "), ". ")
		name := p.Name
		if name == "main" {
			name = filepath.Base(p.ImportPath)
		}
		if !strings.HasPrefix(first, "Package "+name) && !strings.HasPrefix(first, "Command "+name) {
			t.Errorf("package %s has no package comment: begin it with 'Package %s owns …' (or 'Command %s …') and say in that sentence what the package owns", p.short(), name, name)
		}
	}
}

// obvious are methods whose meaning an interface of the standard library gives.
var obvious = []string{"Error", "String", "Unwrap", "Is", "Len", "Less", "Swap", "Push", "Pop", "Write", "Read", "Close", "MarshalCBOR", "UnmarshalCBOR", "MarshalText", "UnmarshalText", "Set", "Type"}

func TestExportedNamesAreDocumented(t *testing.T) {
	fset, all := sources(t)
	for _, s := range all {
		if s.test {
			continue
		}
		missing := func(n *ast.Ident) {
			t.Errorf("%s: exported %s has no doc comment: say what it is, beginning with its name", fset.Position(n.Pos()), n.Name)
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
					missing(d.Name)
				}
			case *ast.GenDecl:
				undocumented(d, missing)
			}
		}
	}
}

// exportedReceiver reports whether a function is visible: not a method of a
// type that is not, nor one that everybody knows.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	if slices.Contains(obvious, f.Name.Name) {
		return false
	}
	visible := false
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if ok && !visible {
			visible = id.IsExported()
			return false
		}
		return !ok
	})
	return visible
}

// undocumented reports the exported names of a declaration that have neither a
// comment of their own, nor one at their line's end, nor one for their group.
func undocumented(d *ast.GenDecl, missing func(*ast.Ident)) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
				missing(spec.Name)
			}
		case *ast.ValueSpec:
			for _, n := range spec.Names {
				if n.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					missing(n)
				}
			}
		}
	}
}

func TestNothingIsLeftUnfinished(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		for i, line := range bytes.Split(s.text, []byte{'\n'}) {
			if m := unfinished.Find(line); m != nil {
				t.Errorf("%s:%d: %q: finish it, or file an issue and take the remark out", s.path, i+1, m)
			}
		}
	}
}

// vague are names of packages that say nothing of what is in them.
var vague = []string{"util", "utils", "common", "types", "manager", "helper", "helpers", "misc", "base", "shared"}

func TestPackagesAreNamedForWhatTheyOwn(t *testing.T) {
	for _, p := range packages(t) {
		if name := filepath.Base(p.ImportPath); slices.Contains(vague, name) {
			t.Errorf("package %s: %q says nothing of what is in it: name it for the one thing it owns", p.short(), name)
		}
	}
}
