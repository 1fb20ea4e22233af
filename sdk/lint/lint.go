// Package lint owns the static checks of programs that use raygo: habits that
// compile, give right results, and cost most of what running tasks elsewhere
// could give. `raygo vet` runs them.
package lint

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
)

// sdkPath is the package whose use is checked.
const sdkPath = "github.com/raygo/raygo/sdk"

// Analyzer reports three habits: Get of a call made in the same turn of a loop,
// Get of refs in the order of their submission, and goroutines that a remote
// function starts and does not wait for.
var Analyzer = &analysis.Analyzer{
	Name:     "raygo",
	Doc:      "report uses of raygo that make tasks run one after the other, or outlive themselves",
	URL:      "https://pkg.go.dev/github.com/raygo/raygo/sdk/lint",
	Requires: []*analysis.Analyzer{inspect.Analyzer},
	Run:      run,
}

func run(pass *analysis.Pass) (any, error) {
	in := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector)
	in.Preorder([]ast.Node{(*ast.ForStmt)(nil), (*ast.RangeStmt)(nil)}, func(n ast.Node) {
		switch loop := n.(type) {
		case *ast.ForStmt:
			serialGets(pass, loop.Body)
		case *ast.RangeStmt:
			serialGets(pass, loop.Body)
			orderedGets(pass, loop)
		}
	})
	bodies := functionBodies(pass)
	in.Preorder([]ast.Node{(*ast.CallExpr)(nil)}, func(n ast.Node) {
		call := n.(*ast.CallExpr)
		if registers(pass, call) && len(call.Args) > 0 {
			if id, ok := ast.Unparen(call.Args[0]).(*ast.Ident); ok {
				strayGoroutines(pass, bodies[pass.TypesInfo.Uses[id]])
			}
		}
	})
	return nil, nil
}

// serialGets reports a Get of a ref that the same turn of a loop has made by
// Remote: the next call is made when this one has ended.
func serialGets(pass *analysis.Pass, body *ast.BlockStmt) {
	made := map[types.Object]bool{}
	inTurn(body, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if len(n.Lhs) != 1 || len(n.Rhs) != 1 || !isRemote(pass, n.Rhs[0]) {
				return
			}
			if id, ok := n.Lhs[0].(*ast.Ident); ok {
				made[objectOf(pass, id)] = true
			}
		case *ast.CallExpr:
			if !isSDK(pass, n, "Get") || len(n.Args) != 2 {
				return
			}
			id, _ := ast.Unparen(n.Args[1]).(*ast.Ident)
			if isRemote(pass, n.Args[1]) || id != nil && made[objectOf(pass, id)] {
				pass.Reportf(n.Pos(), "Get of a call that the same turn of the loop made: the calls run one after the other; make them all, then get their results")
			}
		}
	})
}

// orderedGets reports a loop over refs that gets each: a slow one holds up what
// is ready behind it.
func orderedGets(pass *analysis.Pass, loop *ast.RangeStmt) {
	if !isRefs(pass.TypesInfo.TypeOf(loop.X)) {
		return
	}
	v, ok := loop.Value.(*ast.Ident)
	if !ok {
		return
	}
	inTurn(loop.Body, func(n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok || !isSDK(pass, call, "Get") || len(call.Args) != 2 {
			return
		}
		if id, ok := ast.Unparen(call.Args[1]).(*ast.Ident); ok && objectOf(pass, id) == objectOf(pass, v) {
			pass.Reportf(call.Pos(), "results are got in the order of submission, so a slow one holds up what is ready; AsCompleted gives them as they come, GetAll all at once")
		}
	})
}

// strayGoroutines reports a go statement in a remote function that waits for
// nothing: the goroutine runs on in the worker after its task.
func strayGoroutines(pass *analysis.Pass, body *ast.BlockStmt) {
	if body == nil {
		return
	}
	var first *ast.GoStmt
	waits := false
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if first == nil {
				first = n
			}
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Wait" {
				waits = true
			}
		case *ast.UnaryExpr, *ast.SelectStmt:
			if u, ok := n.(*ast.UnaryExpr); !ok || u.Op.String() == "<-" {
				waits = true
			}
		case *ast.RangeStmt:
			if _, ok := pass.TypesInfo.TypeOf(n.X).Underlying().(*types.Chan); ok {
				waits = true
			}
		}
		return true
	})
	if first != nil && !waits {
		pass.Reportf(first.Pos(), "this goroutine is not waited for: it runs on in the worker when the task has returned")
	}
}

// inTurn calls f for the nodes of a loop's body that run in the turn itself, not
// in function literals.
func inTurn(body *ast.BlockStmt, f func(ast.Node)) {
	ast.Inspect(body, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			return false
		}
		if n != nil {
			f(n)
		}
		return true
	})
}

func functionBodies(pass *analysis.Pass) map[types.Object]*ast.BlockStmt {
	m := map[types.Object]*ast.BlockStmt{}
	for _, file := range pass.Files {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				m[pass.TypesInfo.Defs[f.Name]] = f.Body
			}
		}
	}
	return m
}

func objectOf(pass *analysis.Pass, id *ast.Ident) types.Object { return pass.TypesInfo.ObjectOf(id) }

// callee is the function of the SDK that a call names, nil for others.
func callee(pass *analysis.Pass, call *ast.CallExpr) *types.Func {
	fun := ast.Unparen(call.Fun)
	switch x := fun.(type) {
	case *ast.IndexExpr:
		fun = x.X
	case *ast.IndexListExpr:
		fun = x.X
	}
	var id *ast.Ident
	switch x := fun.(type) {
	case *ast.Ident:
		id = x
	case *ast.SelectorExpr:
		id = x.Sel
	default:
		return nil
	}
	f, _ := pass.TypesInfo.Uses[id].(*types.Func)
	if f == nil || f.Pkg() == nil || f.Pkg().Path() != sdkPath {
		return nil
	}
	return f
}

func isSDK(pass *analysis.Pass, call *ast.CallExpr, name string) bool {
	f := callee(pass, call)
	return f != nil && f.Name() == name && f.Signature().Recv() == nil
}

// isRemote reports whether an expression is a call of a task's Remote or
// RemoteArgs.
func isRemote(pass *analysis.Pass, e ast.Expr) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	f := callee(pass, call)
	return f != nil && f.Signature().Recv() != nil && (f.Name() == "Remote" || f.Name() == "RemoteArgs")
}

// registers reports whether a call is Func0 to Func5 or Gen0 to Gen5.
func registers(pass *analysis.Pass, call *ast.CallExpr) bool {
	f := callee(pass, call)
	if f == nil || f.Signature().Recv() != nil {
		return false
	}
	n := f.Name()
	return len(n) == 5 && n[:4] == "Func" || len(n) == 4 && n[:3] == "Gen"
}

// isRefs reports whether t is a slice of refs.
func isRefs(t types.Type) bool {
	if t == nil {
		return false
	}
	s, ok := t.Underlying().(*types.Slice)
	if !ok {
		return false
	}
	n, ok := s.Elem().(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == sdkPath && n.Obj().Name() == "Ref"
}
