# SPDX-License-Identifier: Apache-2.0
#
# Prints the figures and holds them against their budgets.

BEGIN {
	# In floors, see operations.c.
	most["disabled_floors"] = 0.5
	most["child_floors"] = 5
	most["root_floors"] = 5
	most["typical_floors"] = 13
	most["log_floors"] = 14
	most["error_raise_floors"] = 11
	most["error_capture_floors"] = 32
	most["exception_floors"] = 40

	# Never more.
	most["child_allocations"] = 0
	most["typical_allocations"] = 0
	most["error_allocations"] = 0

	# Spans a second times floor_ns: 500,000 where the floor is 25 ns, and a quarter of that is
	# enough where the machine is busy.
	least_rate = 500000 * 25 / 4
}

{
	names[++n] = $1
	value[$1] = $2
	unit[$1] = $3
}

function fail(text) {
	print "over budget: " text >"/dev/stderr"
	failed = 1
}

END {
	if (json == "true") {
		printf "{"
		for (i = 1; i <= n; i++)
			printf("%s\n  \"%s\": {\"value\": %s, \"unit\": \"%s\"}",
			       (i > 1 ? "," : ""), names[i], value[names[i]], unit[names[i]])
		print "\n}"
	} else {
		for (i = 1; i <= n; i++)
			print names[i], value[names[i]], unit[names[i]]
	}
	for (name in most) {
		if (!(name in value))
			fail(name " was not measured")
		else if (value[name] > most[name])
			fail(name " is " value[name] ", may be " most[name])
	}
	rate = "end_to_end_spans_per_s"
	if ((rate in value) && value[rate] * value["floor_ns"] < least_rate)
		fail(rate " is " value[rate])
	exit failed
}
