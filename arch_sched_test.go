package raygo_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// pureImports is all that the pure core may import. math/rand/v2 is there for
// generators made from a seed; see seeded.
var pureImports = []string{
	module, "bytes", "cmp", "container/heap", "encoding/binary", "errors", "fmt", "iter", "maps", "math", "math/bits", "math/rand/v2", "slices", "sort", "strconv", "strings", "time", "unicode",
}

// clock are the names of package time that read the clock or wait.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}

// seeded are the names of math/rand/v2 that do not draw from the process's own
// source.
var seeded = []string{"New", "NewPCG", "Rand", "PCG", "Source"}

// anyOrder are functions of the core that go over a map where order cannot be
// seen, though the test below cannot tell: each with the reason.
var anyOrder = map[string]string{
	"Check":       "the check of the laws: whichever broken law is named first, the test has failed",
	"checkRefs":   "the same",
	"checkLedger": "the same",
	"hasSince":    "it reports whether one of them is so",
	"hasFor":      "it reports whether all of them fit",
	"Tasks":       "a query for lists, which sort; it changes nothing and makes no effects",
	"Objects":     "the same",
	"all":         "the order is its caller's affair, whose loops over it are checked",
}

// TestSchedIsPure holds the core to what replay needs: the same events give the
// same effects.
func TestSchedIsPure(t *testing.T) {
	p := typed(t, module+"/sched")
	for _, f := range p.files {
		for _, imp := range f.Imports {
			if path, _ := strconv.Unquote(imp.Path.Value); !slices.Contains(pureImports, path) {
				t.Errorf("%s: sched imports %s: the core does no I/O, has no clock, lock or log; let an event bring what it needs, or an effect ask for it", p.fset.Position(imp.Pos()), path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if msg := p.impure(n); msg != "" {
				t.Errorf("%s: %s", p.fset.Position(n.Pos()), msg)
			}
			return true
		})
		for _, d := range f.Decls {
			p.state(t, d)
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && anyOrder[fn.Name.Name] == "" {
				p.order(t, fn)
			}
		}
	}
}

// checked is a type-checked package.
type checked struct {
	fset  *token.FileSet
	files []*ast.File
	info  *types.Info
}

// typed parses and type-checks a package with what the go command has built of
// its imports.
func typed(t *testing.T, path string) *checked {
	t.Helper()
	all, err := goList("-export", "-deps", path)
	if err != nil {
		t.Fatal(err)
	}
	c := &checked{fset: token.NewFileSet(), info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}}
	for _, name := range all[path].GoFiles {
		f, err := parser.ParseFile(c.fset, filepath.Join(all[path].Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		c.files = append(c.files, f)
	}
	imp := importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(all[path].Export) })
	conf := types.Config{Importer: imp}
	if _, err := conf.Check(path, c.fset, c.files, c.info); err != nil {
		t.Fatalf("%s does not compile: %v", path, err)
	}
	return c
}

// impure is what to do about a node that reads the clock, runs beside, or draws
// from a source that no seed controls; "" if it does not.
func (c *checked) impure(n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "sched starts a goroutine: return an effect, the loop in node carries it out"
	case *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
		return "sched uses a channel: it is called by one owner and returns its effects"
	case *ast.SelectorExpr:
		id, ok := n.X.(*ast.Ident)
		if !ok {
			return ""
		}
		name, ok := c.info.Uses[id].(*types.PkgName)
		if !ok {
			return ""
		}
		switch path := name.Imported().Path(); {
		case path == "time" && slices.Contains(clock, n.Sel.Name):
			return "sched calls time." + n.Sel.Name + ": use the now that Step was given, and Next to be called again"
		case path == "math/rand/v2" && !slices.Contains(seeded, n.Sel.Name):
			return "sched calls rand." + n.Sel.Name + ": draw from the core's own generator, which Config.Seed seeds"
		}
	}
	return ""
}

// state reports package-level variables that are not tables or errors: a core's
// state is in the core.
func (c *checked) state(t *testing.T, d ast.Decl) {
	g, ok := d.(*ast.GenDecl)
	if !ok || g.Tok != token.VAR {
		return
	}
	for _, s := range g.Specs {
		v, ok := s.(*ast.ValueSpec)
		if !ok {
			continue
		}
		if len(v.Values) == 0 && v.Names[0].Name != "_" {
			t.Errorf("%s: the package variable %s has no value of its own, so it is state: move it into Core", c.fset.Position(v.Pos()), v.Names[0].Name)
		}
	}
}

// order reports loops over maps whose order could be seen outside.
func (c *checked) order(t *testing.T, fn *ast.FuncDecl) {
	sorted := c.sortedSlices(fn)
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		loop, ok := n.(*ast.RangeStmt)
		if !ok || !c.unordered(loop.X) {
			return true
		}
		if bad := c.visible(loop, sorted); bad != nil {
			t.Errorf("%s: %s goes over a map and does at line %d what may depend on the order: go over slices.Sorted(maps.Keys(m)), or sort what it collects, or give the reason in anyOrder of arch_sched_test.go",
				c.fset.Position(loop.Pos()), fn.Name.Name, c.fset.Position(bad.Pos()).Line)
		}
		return true
	})
}

// unordered reports whether an expression yields a map's contents in the map's
// order: a map, maps.Keys, Values or All of one, or the core's own all.
func (c *checked) unordered(x ast.Expr) bool {
	if tv, ok := c.info.Types[x]; ok {
		if _, ok := tv.Type.Underlying().(*types.Map); ok {
			return true
		}
	}
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	if sel.Sel.Name == "all" {
		return true
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return false
	}
	name, ok := c.info.Uses[id].(*types.PkgName)
	return ok && name.Imported().Path() == "maps"
}

// sortedSlices are the variables that a function hands to slices.Sort….
func (c *checked) sortedSlices(fn *ast.FuncDecl) map[string]bool {
	sorted := map[string]bool{}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == "slices" && len(sel.Sel.Name) >= 4 && sel.Sel.Name[:4] == "Sort" {
				sorted[types.ExprString(call.Args[0])] = true
			}
		}
		return true
	})
	return sorted
}

// visible finds the first statement of a loop's body that is not one of those
// whose sum is the same in any order: delete, counting, writing to another map
// under a key, setting a field of the element, collecting into a slice that is sorted afterwards.
func (c *checked) visible(loop *ast.RangeStmt, sorted map[string]bool) ast.Stmt {
	element := ""
	if id, ok := loop.Value.(*ast.Ident); ok {
		element = id.Name
	}
	return c.visibleIn(loop.Body, sorted, element)
}

func (c *checked) visibleIn(body *ast.BlockStmt, sorted map[string]bool, element string) ast.Stmt {
	for _, s := range body.List {
		switch s := s.(type) {
		case *ast.IncDecStmt:
		case *ast.BranchStmt:
			if s.Tok != token.CONTINUE {
				return s
			}
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); !ok || types.ExprString(call.Fun) != "delete" {
				return s
			}
		case *ast.AssignStmt:
			if !c.summing(s, sorted, element) {
				return s
			}
		case *ast.RangeStmt:
			if bad := c.visible(s, sorted); bad != nil {
				return bad
			}
		case *ast.IfStmt:
			if bad := c.visibleIn(s.Body, sorted, element); bad != nil {
				return bad
			}
			if s.Else != nil {
				return s
			}
		default:
			return s
		}
	}
	return nil
}

// summing reports whether an assignment comes to the same in any order. element
// is the loop's own value, whose fields nobody else sees meanwhile.
func (c *checked) summing(s *ast.AssignStmt, sorted map[string]bool, element string) bool {
	switch s.Tok {
	case token.ADD_ASSIGN, token.SUB_ASSIGN, token.OR_ASSIGN, token.DEFINE:
		return true
	case token.ASSIGN:
	default:
		return false
	}
	if len(s.Lhs) != 1 {
		return false
	}
	if field, ok := s.Lhs[0].(*ast.SelectorExpr); ok && types.ExprString(field.X) == element {
		return true
	}
	if ix, ok := s.Lhs[0].(*ast.IndexExpr); ok {
		_, isMap := c.info.Types[ix.X].Type.Underlying().(*types.Map)
		return isMap
	}
	call, ok := s.Rhs[0].(*ast.CallExpr)
	if ok && types.ExprString(call.Fun) == "append" {
		return sorted[types.ExprString(s.Lhs[0])]
	}
	if ok { // x = max(x, …)
		name := types.ExprString(call.Fun)
		return name == "max" || name == "min"
	}
	return false
}
