package lint

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

// behaviour 245, behaviour 246, behaviour 255
func TestHabits(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), Analyzer, "a")
}
