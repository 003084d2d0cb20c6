/*
 * Copyright 2026 The Portero Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The shared table: what it promises to one process, and what it promises
 * when processes are killed: at every step of a commit and of a repair, and
 * thousands of times at random.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int die_at_step; /* 0: live on */

static void
step(void)
{
	if (die_at_step > 0 && --die_at_step == 0)
		kill(getpid(), SIGKILL);
}

static long lock_wait_ns = 5000000000L; /* the machine may be busy */

#define SHM_TABLE_STEP() step()
#define SHM_TABLE_LOCK_WAIT_NS lock_wait_ns
#include "base/shm_table.c"

/* A record that shows when it was written in parts. */
struct item {
	int64_t value;
	int64_t padding[9];
	int64_t same_value;
};

static const struct portero_table_spec small = {
	.size = sizeof(struct portero_table_spec),
	.layout = 7,
	.record_size = sizeof(struct item),
	.nrecords = 8,
	.nshards = 1,
	.max_saves = 4,
};

static const struct portero_key place; /* any */

static void *
map_for(const struct portero_table_spec *spec)
{
	void *p = mmap(NULL, shm_table_size(spec), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static struct portero_table *
open_table(void *memory, const struct portero_table_spec *spec,
    enum portero_share_state state)
{
	char err[256] = "";
	struct portero_table *t = shm_table_open(memory, shm_table_size(spec),
	    spec, state, err);

	assert_string_equal(err, "");
	assert_non_null(t);
	return t;
}

static struct portero_key
key_of(unsigned n)
{
	struct portero_key key = { { 0 } };

	memcpy(key.byte, &n, sizeof n);
	return key;
}

static int
save(struct portero_table *t, unsigned key, int64_t value, int64_t expires_at)
{
	struct portero_key k = key_of(key);
	struct item item = { .value = value, .same_value = value };

	return shm_table_save(t, &k, &item, expires_at);
}

/* Also for children, where an assertion of cmocka would go on with the next
 * test: their parent sees SIGABRT. */
static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* The value of a record; -1: absent; fails on a torn one. */
static int64_t
value_of(struct portero_table *t, unsigned key)
{
	struct portero_key k = key_of(key);
	const struct item *item = shm_table_find(t, &k);

	if (item == NULL)
		return -1;
	must(item->value == item->same_value);
	return item->value;
}

static void
remove_key(struct portero_table *t, unsigned key)
{
	struct portero_key k = key_of(key);

	shm_table_remove(t, &k);
}

static void
lock(struct portero_table *t)
{
	must(shm_table_lock(t, &place) == 0);
}

static void
count_each(void *arg, const struct portero_key *key, const void *record)
{
	(void)key;
	(void)record;
	++*(unsigned *)arg;
}

static unsigned
count(struct portero_table *t)
{
	unsigned n = 0;

	shm_table_each(t, count_each, &n);
	return n;
}

/* One small table a test. */
struct fixture {
	void *memory;
	struct portero_table *t;
	int64_t later; /* does not expire in the test */
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->memory = map_for(&small);
	f->t = open_table(f->memory, &small, PORTERO_SHARE_NEW);
	f->later = clock_wall_s() + 1000;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	clock_shift(0, 0);
	shm_table_close(f->t);
	munmap(f->memory, shm_table_size(&small));
	free(f);
	return 0;
}

static void
test_what_is_committed_is_found_and_what_is_aborted_not(void **state)
{
	struct fixture *f = *state;

	lock(f->t);
	assert_int_equal(save(f->t, 1, 10, f->later), 0);
	assert_int_equal(save(f->t, 2, 20, f->later), 0);
	shm_table_commit(f->t);

	lock(f->t);
	assert_int_equal(save(f->t, 1, 11, f->later), 0);
	assert_int_equal(save(f->t, 3, 30, f->later), 0);
	remove_key(f->t, 2);
	shm_table_abort(f->t);

	lock(f->t);
	assert_int_equal(value_of(f->t, 1), 10);
	assert_int_equal(value_of(f->t, 2), 20);
	assert_int_equal(value_of(f->t, 3), -1);
	assert_int_equal(count(f->t), 2);
	remove_key(f->t, 2);
	shm_table_commit(f->t);

	lock(f->t);
	assert_int_equal(value_of(f->t, 2), -1);
	assert_int_equal(count(f->t), 1);
	shm_table_abort(f->t);
}

static void
test_a_transaction_sees_its_own_changes(void **state)
{
	struct fixture *f = *state;

	lock(f->t);
	assert_int_equal(save(f->t, 1, 10, f->later), 0);
	assert_int_equal(value_of(f->t, 1), 10);
	assert_int_equal(save(f->t, 1, 11, f->later), 0);
	assert_int_equal(value_of(f->t, 1), 11);
	assert_int_equal(count(f->t), 1);
	remove_key(f->t, 1);
	assert_int_equal(value_of(f->t, 1), -1);
	assert_int_equal(count(f->t), 0);
	assert_int_equal(save(f->t, 1, 12, f->later), 0);
	shm_table_commit(f->t);
	lock(f->t);
	assert_int_equal(value_of(f->t, 1), 12);
	remove_key(f->t, 1);
	assert_int_equal(save(f->t, 1, 13, f->later), 0);
	shm_table_commit(f->t);
	lock(f->t);
	assert_int_equal(value_of(f->t, 1), 13);
	assert_int_equal(count(f->t), 1);
	shm_table_abort(f->t);
}

static void
fill(struct fixture *f, int64_t expires_at)
{
	for (unsigned i = 0; i < small.nrecords; i++) {
		lock(f->t);
		assert_int_equal(save(f->t, i, i, expires_at), 0);
		shm_table_commit(f->t);
	}
}

static void
test_a_full_table_takes_nothing_new_and_forgets_nothing(void **state)
{
	struct fixture *f = *state;

	fill(f, f->later);
	for (int again = 0; again < 3; again++) {
		lock(f->t);
		assert_int_equal(save(f->t, 100, 1, f->later), -1);
		assert_int_equal(save(f->t, 3, 33, f->later), 0);
		shm_table_commit(f->t);
	}
	lock(f->t);
	for (unsigned i = 0; i < small.nrecords; i++)
		assert_int_equal(value_of(f->t, i), i == 3 ? 33 : i);
	/* Room made by a removal is there for the next transaction. */
	remove_key(f->t, 5);
	shm_table_commit(f->t);
	lock(f->t);
	assert_int_equal(save(f->t, 100, 1, f->later), 0);
	shm_table_commit(f->t);
}

static void
test_an_expired_record_is_absent_and_its_room_used_again(void **state)
{
	struct fixture *f = *state;

	fill(f, f->later);
	lock(f->t);
	assert_int_equal(save(f->t, 2, 2, f->later - 500), 0);
	shm_table_commit(f->t);

	clock_shift(0, 600 * 1000000LL);
	lock(f->t);
	assert_int_equal(value_of(f->t, 2), -1);
	assert_int_equal(count(f->t), small.nrecords - 1);
	/* An expired one that this transaction writes again is not swept. */
	assert_int_equal(save(f->t, 2, 22, f->later), 0);
	assert_int_equal(save(f->t, 100, 1, f->later), -1);
	shm_table_abort(f->t);

	lock(f->t);
	assert_int_equal(save(f->t, 100, 1, f->later), 0);
	assert_int_equal(save(f->t, 2, 22, f->later), -1);
	shm_table_commit(f->t);
	lock(f->t);
	assert_int_equal(value_of(f->t, 100), 1);
	assert_int_equal(value_of(f->t, 2), -1);
	shm_table_abort(f->t);
}

static void
test_room_of_aborted_transactions_comes_back(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 5 * small.nrecords; i++) {
		lock(f->t);
		for (unsigned k = 0; k < small.max_saves; k++)
			assert_int_equal(save(f->t, 10 * i + k, 1, f->later),
			    0);
		shm_table_abort(f->t);
	}
	fill(f, f->later);
}

static void
test_a_transaction_has_at_most_max_saves_changes(void **state)
{
	struct fixture *f = *state;

	fill(f, f->later);
	lock(f->t);
	for (unsigned i = 0; i < small.max_saves; i++)
		assert_int_equal(save(f->t, i, 50, f->later), 0);
	assert_int_equal(save(f->t, 0, 51, f->later), 0);
	assert_int_equal(save(f->t, small.max_saves, 50, f->later), -1);
	/* A removal too many cannot be told: then nothing happens. */
	remove_key(f->t, 6);
	shm_table_commit(f->t);
	lock(f->t);
	assert_int_equal(value_of(f->t, 0), 0);
	assert_int_equal(value_of(f->t, 6), 6);
	remove_key(f->t, 6);
	shm_table_commit(f->t);
	lock(f->t);
	assert_int_equal(value_of(f->t, 6), -1);
	shm_table_abort(f->t);
}

static void
test_calls_without_the_lock_do_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(save(f->t, 1, 1, f->later), -1);
	remove_key(f->t, 1);
	shm_table_commit(f->t);
	shm_table_abort(f->t);
	assert_null(shm_table_find(f->t, &place));
	assert_int_equal(count(f->t), 0);
	lock(f->t);
	assert_int_equal(shm_table_lock(f->t, &place), -1);
	shm_table_abort(f->t);
}

static void
test_only_memory_of_the_same_table_is_opened(void **state)
{
	struct fixture *f = *state;
	struct portero_table_spec other[] = { small, small, small, small,
		small };
	size_t bytes = shm_table_size(&small);
	char err[256];

	other[0].layout++;
	other[1].record_size -= 8;
	other[2].nrecords--;
	other[3].max_saves--;
	other[4].nshards = 3; /* not a power of two */
	for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
		err[0] = '\0';
		assert_null(shm_table_open(f->memory, bytes, &other[i],
		    PORTERO_SHARE_KEPT, err));
		assert_string_not_equal(err, "");
	}
	assert_int_equal(shm_table_size(&other[4]), 0);
	err[0] = '\0';
	assert_null(shm_table_open(f->memory, bytes - 1, &small,
	    PORTERO_SHARE_NEW, err));
	assert_string_not_equal(err, "");
	assert_null(shm_table_open(f->memory, bytes, &small,
	    PORTERO_SHARE_NONE, err));
	/* Never set up: attaching must not take zeros for a table. */
	void *zeros = map_for(&small);
	assert_null(shm_table_open(zeros, bytes, &small, PORTERO_SHARE_IN_USE,
	    err));
	assert_null(shm_table_open(zeros, bytes, &small, PORTERO_SHARE_KEPT,
	    err));
	munmap(zeros, bytes);
}

static void
test_records_spread_over_shards_and_are_found_there(void **state)
{
	struct portero_table_spec spec = small;
	struct portero_table *t;
	unsigned n = 0;
	void *memory;

	(void)state;
	spec.nshards = 8;
	spec.nrecords = 4000;
	memory = map_for(&spec);
	t = open_table(memory, &spec, PORTERO_SHARE_NEW);
	for (unsigned i = 0; i < 2000; i++) {
		struct portero_key key = key_of(i);

		assert_int_equal(shm_table_lock(t, &key), 0);
		assert_int_equal(save(t, i, i, INT64_MAX), 0);
		shm_table_commit(t);
	}
	for (unsigned i = 0; i < 2000; i++) {
		struct portero_key key = key_of(i);

		assert_int_equal(shm_table_lock(t, &key), 0);
		n += value_of(t, i) == i;
		assert_in_range(count(t), 150, 350);
		shm_table_abort(t);
	}
	assert_int_equal(n, 2000);
	shm_table_close(t);
	munmap(memory, shm_table_size(&spec));
}

/* ---- death ------------------------------------------------------------- */

/* Runs `act` in a child that dies at the given step; false: it lived. */
static bool
child_dies(struct fixture *f, void (*act)(struct fixture *), int at_step)
{
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		die_at_step = at_step;
		act(f);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		return false;
	assert_int_equal(WTERMSIG(status), SIGKILL);
	return true;
}

/* Changes 1, makes 2, removes 3; 4 stays. */
static void
act_commit(struct fixture *f)
{
	lock(f->t);
	save(f->t, 1, 11, f->later);
	save(f->t, 2, 22, f->later);
	remove_key(f->t, 3);
	shm_table_commit(f->t);
}

static void
act_repair(struct fixture *f)
{
	lock(f->t);
	shm_table_abort(f->t);
}

static void
before_death(struct fixture *f)
{
	lock(f->t);
	save(f->t, 1, 10, f->later);
	remove_key(f->t, 2);
	save(f->t, 3, 30, f->later);
	save(f->t, 4, 40, f->later);
	shm_table_commit(f->t);
}

/* All of act_commit() or nothing; the table is sound: it can be filled. */
static bool
assert_whole_or_nothing(struct fixture *f)
{
	bool done;

	lock(f->t);
	done = value_of(f->t, 1) == 11;
	assert_int_equal(value_of(f->t, 1), done ? 11 : 10);
	assert_int_equal(value_of(f->t, 2), done ? 22 : -1);
	assert_int_equal(value_of(f->t, 3), done ? -1 : 30);
	assert_int_equal(value_of(f->t, 4), 40);
	assert_int_equal(count(f->t), 3);
	shm_table_abort(f->t);
	for (unsigned i = 0; i < small.nrecords - 3; i++) {
		lock(f->t);
		assert_int_equal(save(f->t, 100 + i, 1, f->later), 0);
		shm_table_commit(f->t);
	}
	lock(f->t);
	assert_int_equal(save(f->t, 200, 1, f->later), -1);
	assert_int_equal(count(f->t), small.nrecords);
	shm_table_abort(f->t);
	for (unsigned i = 0; i < small.nrecords - 3; i++) {
		lock(f->t);
		remove_key(f->t, 100 + i);
		shm_table_commit(f->t);
	}
	return done;
}

static void
test_death_at_any_step_of_a_commit_is_whole_or_nothing(void **state)
{
	struct fixture *f = *state;
	int nothing = 0, whole = 0;

	for (int at = 1;; at++) {
		before_death(f);
		if (!child_dies(f, act_commit, at))
			break;
		if (assert_whole_or_nothing(f))
			whole++;
		else
			nothing++;
	}
	assert_true(assert_whole_or_nothing(f));
	assert_in_range(nothing, 3, 10);
	assert_in_range(whole, 8, 20);
}

static void
test_death_during_the_repair_of_a_death_is_repaired_too(void **state)
{
	struct fixture *f = *state;
	int twice = 0;

	for (int at = 1;; at++) {
		before_death(f);
		if (!child_dies(f, act_commit, at))
			break;
		for (int again = 1; child_dies(f, act_repair, again); again++)
			twice++;
		assert_whole_or_nothing(f);
	}
	assert_in_range(twice, 20, 200);
}

static void
test_memory_kept_from_a_dead_run_is_repaired_at_opening(void **state)
{
	struct fixture *f = *state;

	for (int at = 1;; at++) {
		before_death(f);
		if (!child_dies(f, act_commit, at))
			break;
		shm_table_close(f->t);
		f->t = open_table(f->memory, &small, PORTERO_SHARE_KEPT);
		assert_whole_or_nothing(f);
	}
}

static void
test_a_stopped_owner_stops_nobody_for_long(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	before_death(f);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		lock(f->t);
		save(f->t, 1, 11, f->later);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	lock_wait_ns = 1000000;
	assert_int_equal(shm_table_lock(f->t, &place), -1);
	lock_wait_ns = 5000000000L;
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(assert_whole_or_nothing(f));
}

/*
 * The hammer: accounts whose sum never changes. A transfer takes from one
 * account and gives to two others; an account with nothing is removed. One of
 * the children is killed at any instruction, the others, which is quicker,
 * kill themselves at some step.
 */
#define ACCOUNTS 48
#define CHILDREN 4
#define TOTAL 100000

static void
set_balance(struct portero_table *t, unsigned account, int64_t value)
{
	if (value == 0)
		remove_key(t, account);
	else
		save(t, account, value, INT64_MAX);
}

static void
transfer(struct portero_table *t, unsigned *seed)
{
	unsigned from = (unsigned)rand_r(seed) % ACCOUNTS;
	unsigned to = (from + 1 + (unsigned)rand_r(seed) % 20) % ACCOUNTS;
	unsigned also = (from + 21 + (unsigned)rand_r(seed) % 20) % ACCOUNTS;
	int64_t have, most, give;

	if (shm_table_lock(t, &place) == -1)
		return;
	have = value_of(t, from);
	if (have <= 0) {
		shm_table_abort(t);
		return;
	}
	most = rand_r(seed) % 4 == 0 ? have : rand_r(seed) % have;
	give = most / 3;
	set_balance(t, from, have - most);
	have = value_of(t, to);
	set_balance(t, to, (have < 0 ? 0 : have) + give);
	have = value_of(t, also);
	set_balance(t, also, (have < 0 ? 0 : have) + most - give);
	shm_table_commit(t);
}

static pid_t
hammer_start(void *memory, const struct portero_table_spec *spec, unsigned seed,
    bool suicide)
{
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		char err[256];
		struct portero_table *t;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		t = shm_table_open(memory,
		    shm_table_size(spec), spec, PORTERO_SHARE_IN_USE, err);

		must(t != NULL);
		if (suicide)
			die_at_step = 1 + rand_r(&seed) % 100;
		for (unsigned n = 1;; n++) {
			transfer(t, &seed);
			if (n % 64 == 0) /* a lock is not fair by itself */
				usleep(50);
		}
	}
	return pid;
}

static void
hammer_end(pid_t pid, bool suicide)
{
	int status;

	if (!suicide)
		assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

struct sum {
	int64_t total;
	unsigned accounts;
};

static void
sum_each(void *arg, const struct portero_key *key, const void *record)
{
	const struct item *item = record;
	struct sum *sum = arg;

	(void)key;
	assert_int_equal(item->value, item->same_value);
	assert_true(item->value > 0);
	sum->total += item->value;
	sum->accounts++;
}

/* By walking, and by looking up. */
static void
assert_sum(struct portero_table *t)
{
	struct sum walked = { 0 }, found = { 0 };

	lock(t);
	shm_table_each(t, sum_each, &walked);
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		int64_t value = value_of(t, i);

		if (value != -1) {
			found.total += value;
			found.accounts++;
		}
	}
	shm_table_abort(t);
	assert_int_equal(walked.total, TOTAL);
	assert_int_equal(found.total, TOTAL);
	assert_int_equal(walked.accounts, found.accounts);
}

static void
test_thousands_of_random_deaths_lose_nothing(void **state)
{
	struct portero_table_spec spec = small;
	int64_t until = clock_mono_ms() + 1500;
	pid_t child[CHILDREN];
	struct portero_table *t;
	unsigned seed = 20261123, kills = 0;
	void *memory;

	(void)state;
	spec.nrecords = ACCOUNTS;
	memory = map_for(&spec);
	t = open_table(memory, &spec, PORTERO_SHARE_NEW);
	lock(t);
	save(t, 0, TOTAL, INT64_MAX);
	shm_table_commit(t);

	for (unsigned i = 0; i < CHILDREN; i++)
		child[i] = hammer_start(memory, &spec, seed + i, i != 0);
	while (clock_mono_ms() < until) {
		unsigned i = kills++ % CHILDREN;

		if (i == 0)
			usleep((useconds_t)rand_r(&seed) % 300);
		hammer_end(child[i], i != 0);
		if (kills % 16 == 0)
			assert_sum(t);
		child[i] = hammer_start(memory, &spec, seed + kills, i != 0);
	}
	for (unsigned i = 0; i < CHILDREN; i++)
		hammer_end(child[i], i != 0);
	assert_sum(t);
	print_message("%u processes killed\n", kills + CHILDREN);
	shm_table_close(t);
	munmap(memory, shm_table_size(&spec));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		TEST(test_what_is_committed_is_found_and_what_is_aborted_not),
		TEST(test_a_transaction_sees_its_own_changes),
		TEST(test_a_full_table_takes_nothing_new_and_forgets_nothing),
		TEST(test_an_expired_record_is_absent_and_its_room_used_again),
		TEST(test_room_of_aborted_transactions_comes_back),
		TEST(test_a_transaction_has_at_most_max_saves_changes),
		TEST(test_calls_without_the_lock_do_nothing),
		TEST(test_only_memory_of_the_same_table_is_opened),
		TEST(test_death_at_any_step_of_a_commit_is_whole_or_nothing),
		TEST(test_death_during_the_repair_of_a_death_is_repaired_too),
		TEST(test_a_stopped_owner_stops_nobody_for_long),
		TEST(test_memory_kept_from_a_dead_run_is_repaired_at_opening),
#undef TEST
		cmocka_unit_test(
		    test_records_spread_over_shards_and_are_found_there),
		cmocka_unit_test(test_thousands_of_random_deaths_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
