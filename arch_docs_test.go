package raygo_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// documents are what people read first.
var documents = []string{"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/manual.md", "docs/behaviours.md"}

var link = regexp.MustCompile(`\]\(([^)#: ]+)\)`)

func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	for _, doc := range documents {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", doc, m[1])
			}
		}
	}
}

// quoted finds names of the SDK in the manual: raygo.Name, p2p.Name.
var quoted = regexp.MustCompile(`(?:^|[^/\w])(raygo|p2p)\.([A-Z][A-Za-z0-9]*)`)

func TestDocumentsNameWhatTheSDKHas(t *testing.T) {
	_, all := sources(t)
	have := map[string][]string{}
	for _, s := range all {
		if s.test || s.pkg.short() != "sdk" && s.pkg.short() != "sdk/p2p" {
			continue
		}
		for _, d := range s.file.Decls {
			have[s.pkg.Name] = append(have[s.pkg.Name], declared(d)...)
		}
	}
	for _, doc := range documents {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(have[m[1]], m[2]) {
				t.Errorf("%s speaks of %s, which the SDK does not have: correct the one or the other", doc, m[1]+"."+m[2])
			}
		}
	}
}

// declared are the exported names of a declaration.
func declared(d ast.Decl) []string {
	var names []string
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}
