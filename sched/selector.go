package sched

import (
	"fmt"
	"slices"
	"strings"
)

// Match reports whether labels satisfy a selector: terms joined by commas, each
// "key=value", "key!=value", "key in (a,b)" or "key !in (a,b)". A label that is
// not there equals nothing.
func Match(selector string, labels map[string]string) (bool, error) {
	terms, err := splitTerms(selector)
	if err != nil {
		return false, err
	}
	all := true
	for _, term := range terms {
		ok, err := matchTerm(term, labels)
		if err != nil {
			return false, err
		}
		all = all && ok
	}
	return all, nil
}

// splitTerms cuts at commas outside parentheses.
func splitTerms(s string) ([]string, error) {
	var terms []string
	open, from := false, 0
	for i, r := range s {
		switch {
		case r == '(' && !open:
			open = true
		case r == ')' && open:
			open = false
		case r == '(' || r == ')':
			return nil, fmt.Errorf("label selector %q: parentheses do not match", s)
		case r == ',' && !open:
			terms, from = append(terms, s[from:i]), i+1
		}
	}
	if open {
		return nil, fmt.Errorf("label selector %q: a parenthesis is not closed", s)
	}
	return append(terms, s[from:]), nil
}

func matchTerm(term string, labels map[string]string) (bool, error) {
	term = strings.TrimSpace(term)
	if head, list, ok := strings.Cut(term, "("); ok {
		key, op, _ := strings.Cut(strings.TrimSpace(head), " ")
		list, closed := strings.CutSuffix(list, ")")
		op = strings.TrimSpace(op)
		if key == "" || !closed || op != "in" && op != "!in" {
			return false, fmt.Errorf("label selector term %q: want key in (a,b) or key !in (a,b)", term)
		}
		var values []string
		for v := range strings.SplitSeq(list, ",") {
			values = append(values, strings.TrimSpace(v))
		}
		have, there := labels[key]
		in := there && slices.Contains(values, have)
		return in == (op == "in"), nil
	}
	key, value, ok := strings.Cut(term, "=")
	if !ok || strings.TrimSpace(strings.TrimSuffix(key, "!")) == "" {
		return false, fmt.Errorf("label selector term %q: want key=value, key!=value or key in (a,b)", term)
	}
	not := strings.HasSuffix(key, "!")
	have, there := labels[strings.TrimSpace(strings.TrimSuffix(key, "!"))]
	same := there && have == strings.TrimSpace(value)
	return same != not, nil
}
