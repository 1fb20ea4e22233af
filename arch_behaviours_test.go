package raygo_test

import (
	"flag"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// table is the file that lists behaviours and their tests.
const table = "docs/behaviours.md"

var update = flag.Bool("update", false, "write the tests' names into "+table)

var (
	// behaviourRow is a line of the table: | number | text | tests |.
	behaviourRow = regexp.MustCompile(`^\| (\d+) \| ([^|]+) \| ([^|]*) \|$`)
	// behaviourNote is what a test says of itself: behaviour 50, or behaviours
	// 50, 51 and 52.
	behaviourNote = regexp.MustCompile(`\bbehaviours? (\d+(?:(?:, | and |, and )\d+)*)`)
	// lawRow is a line of the table of laws.
	lawRow   = regexp.MustCompile(`^\| \d+\. `)
	numberIn = regexp.MustCompile(`\d+`)
	testIn   = regexp.MustCompile("`([^`]+)`")
)

// coverage is what the tests say of themselves.
type coverage struct {
	tests map[string]bool     // every test, as objects.TestPut, or a script's path
	of    map[string][]string // by number: the tests that cover it
}

func (c *coverage) note(text, test string) {
	for _, m := range behaviourNote.FindAllStringSubmatch(text, -1) {
		for _, number := range numberIn.FindAllString(m[1], -1) {
			if !slices.Contains(c.of[number], test) {
				c.of[number] = append(c.of[number], test)
			}
		}
	}
}

// covered reads the notes of all tests and scripts.
func covered(t *testing.T) *coverage {
	t.Helper()
	c := &coverage{tests: map[string]bool{}, of: map[string][]string{}}
	fset, all := sources(t)
	for _, s := range all {
		if s.test && !strings.HasPrefix(s.path, "arch_") {
			c.read(fset, s)
		}
	}
	scripts, err := filepath.Glob("cmd/*/testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c.tests[path] = true
		c.note(string(text), path)
	}
	for _, tests := range c.of {
		slices.Sort(tests)
	}
	return c
}

// read finds a file's tests and their notes. A note belongs to the function
// that it is in or before.
func (c *coverage) read(fset *token.FileSet, s source) {
	var funcs []*ast.FuncDecl
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
			funcs = append(funcs, f)
			c.tests[s.pkg.short()+"."+f.Name.Name] = true
		}
	}
	for _, group := range s.file.Comments {
		i := slices.IndexFunc(funcs, func(f *ast.FuncDecl) bool { return fset.Position(group.Pos()).Line <= fset.Position(f.End()).Line })
		if i >= 0 {
			c.note(group.Text(), s.pkg.short()+"."+funcs[i].Name.Name)
		}
	}
}

// TestBehavioursAreThoseOfTheTests compares the table with the tests: each row
// names tests that exist or says why there is none, each number that a test
// names has a row.
func TestBehavioursAreThoseOfTheTests(t *testing.T) {
	c := covered(t)
	if *update {
		rewrite(t, c)
	}
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		m := behaviourRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		number, cell := m[1], m[3]
		if _, twice := rows[number]; twice {
			t.Errorf("%s has behaviour %s twice", table, number)
		}
		rows[number] = cell
		if strings.TrimSpace(cell) == "" {
			t.Errorf("%s: behaviour %s names no test: write one, with '// behaviour %s' above it, and run 'go test . -update'", table, number, number)
		}
		for _, name := range testIn.FindAllStringSubmatch(cell, -1) {
			if !c.tests[name[1]] {
				t.Errorf("%s: behaviour %s names %s, which is no test: run 'go test . -update'", table, number, name[1])
			}
		}
	}
	for _, number := range slices.Sorted(maps.Keys(c.of)) {
		cell, ok := rows[number]
		switch {
		case !ok:
			t.Errorf("%s covers behaviour %s, which has no row in %s: add one that says what it is", c.of[number][0], number, table)
		case !strings.Contains(cell, "`"):
			t.Errorf("%s covers behaviour %s, of which %s says %q: run 'go test . -update'", c.of[number][0], number, table, cell)
		}
	}
}

// TestLawsNameTheirTests does the same for the laws of ARCHITECTURE.md.
func TestLawsNameTheirTests(t *testing.T) {
	c := covered(t)
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	laws := 0
	for _, line := range strings.Split(string(text), "\n") {
		if !lawRow.MatchString(line) {
			continue
		}
		laws++
		tests := testIn.FindAllStringSubmatch(line, -1)
		if len(tests) == 0 {
			t.Errorf("ARCHITECTURE.md: no test is named for: %s", line)
		}
		for _, name := range tests {
			if !c.tests[name[1]] {
				t.Errorf("ARCHITECTURE.md: %s, named for a law, is no test", name[1])
			}
		}
	}
	if laws == 0 {
		t.Error("ARCHITECTURE.md has no table of laws")
	}
}

// shown is how many tests a row names at most.
const shown = 3

// rewrite puts the tests' names into the table.
func rewrite(t *testing.T, c *coverage) {
	t.Helper()
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		m := behaviourRow.FindStringSubmatch(line)
		if m == nil || len(c.of[m[1]]) == 0 {
			continue
		}
		tests := c.of[m[1]]
		tests = tests[:min(shown, len(tests))]
		lines[i] = "| " + m[1] + " | " + m[2] + " | `" + strings.Join(tests, "`, `") + "` |"
	}
	if err := os.WriteFile(table, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}
