package raygo

import (
	"fmt"
	"math"
	"strconv"
)

// Quantity is an amount of a resource in whole ten-thousandths, so that sums
// are exact. One CPU is Unit.
type Quantity int64

// Unit is one whole of a resource.
const Unit Quantity = 10_000

// MaxQuantity is the largest amount of a resource that can be given or asked
// for: 2^40 units, which leaves room for sums.
const MaxQuantity = Quantity(1<<40) * Unit

// Names of the resources that have a meaning of their own; all others are
// custom.
const (
	CPU    = "CPU"
	GPU    = "GPU"
	Memory = "memory" // in bytes
)

// QuantityOf converts v, rounded to the nearest ten-thousandth. It refuses what
// is negative, not finite, larger than MaxQuantity, or positive and below the
// smallest step.
func QuantityOf(v float64) (Quantity, error) {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0, fmt.Errorf("quantity %v is not a finite number", v)
	case v < 0:
		return 0, fmt.Errorf("quantity %v is negative", v)
	case v > float64(MaxQuantity/Unit):
		return 0, fmt.Errorf("quantity %v is above the largest, %d", v, int64(MaxQuantity/Unit))
	}
	q := Quantity(math.Round(v * float64(Unit)))
	if q == 0 && v > 0 {
		return 0, fmt.Errorf("quantity %v is below the smallest step, 0.0001", v)
	}
	return q, nil
}

// Float is q in whole units.
func (q Quantity) Float() float64 { return float64(q) / float64(Unit) }

// String prints q in whole units without trailing zeros.
func (q Quantity) String() string { return strconv.FormatFloat(q.Float(), 'f', -1, 64) }
