// The machine under edgetl_head_block.h on a CPU, and a launch on it.
//
// Blocks run one after the other, so of what one tells another only the protocol is checked: every thread has published
// before its block takes a ticket. Memory order needs a GPU.
#ifndef EDGETL_TESTS_FIBRE_BLOCK_H
#define EDGETL_TESTS_FIBRE_BLOCK_H

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include "edgetl_head_block.h"
#include "fibres.h"

namespace edgetl::test {

// One thread's view: what edgetl_head_block.h asks of its machine.
class FibreBlock {
 public:
  FibreBlock(Fibres &fibres, int thread, int slice, int tile, int skipped_barrier)
      : fibres_(fibres), thread_(thread), slice_(slice), tile_(tile), skipped_(skipped_barrier) {}

  int thread() const { return thread_; }
  int slice() const { return slice_; }
  int tile() const { return tile_; }

  // Without the barrier of that number, as if it had been forgotten.
  void sync() {
    if (barrier_++ != skipped_) fibres_.meet_block();
  }

  template <class Value>
  Value shuffle_xor(Value value, int apart) {
    static_assert(sizeof(Value) == sizeof(std::uint32_t));
    std::uint32_t word;
    std::memcpy(&word, &value, sizeof word);
    word = fibres_.exchange(word, apart);
    std::memcpy(&value, &word, sizeof word);
    return value;
  }

  void publish() { fibres_.publish(); }

  std::uint32_t take_ticket(std::uint32_t *ticket, std::uint32_t last) {
    fibres_.take_ticket();
    const std::uint32_t taken = __atomic_load_n(ticket, __ATOMIC_RELAXED);  // atomic, and orders nothing itself
    __atomic_store_n(ticket, taken >= last ? 0 : taken + 1, __ATOMIC_RELAXED);
    return taken;
  }

  template <class Value>
  Value fresh(const Value *from) const {
    return *from;
  }

 private:
  Fibres &fibres_;
  int thread_;
  int slice_;
  int tile_;
  int skipped_;
  int barrier_ = 0;
};

// Seed 0 is 0, 1, 2, ...; seed 1 the reverse; every other one an order of its own.
inline std::vector<int> order_of(int count, unsigned seed) {
  std::vector<int> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (seed == 1) std::reverse(order.begin(), order.end());
  if (seed > 1) std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  return order;
}

struct HostLaunch {
  const edgetl_head_args &args;
  const head::Plan &plan;
  unsigned seed;
  int skipped_barrier;

  template <class Shared>
  struct Work {  // kept to the end: a block's memory is never another's
    Shared shared;
    std::function<void(int)> body;
  };

  template <int kImages, class Weight>
  edgetl_status run() {
    using Shared = head::Shared<kImages>;
    Fibres fibres;
    std::vector<std::unique_ptr<Work<Shared>>> blocks;
    const std::vector<int> warps = order_of(kWarps, seed);
    const std::vector<int> lanes = order_of(kLanes, seed);
    bool is_done = true;
    for (const int number : order_of(plan.slices * plan.tiles, seed)) {
      Work<Shared> &work = *blocks.emplace_back(new Work<Shared>);
      std::memset(static_cast<void *>(&work.shared), 0xff, sizeof work.shared);  // NaN: what no thread wrote
      work.shared.is_last = false;  // 0xff is no bool
      work.body = [this, &fibres, &shared = work.shared, number](int thread) {
        FibreBlock block(fibres, thread, number % plan.slices, number / plan.slices, skipped_barrier);
        head::run_block<kImages, Weight>(args, plan, block, shared);
      };
      is_done = fibres.run(warps, lanes, work.body);
      if (!is_done) break;
    }
    is_done = fibres.join() && is_done;
    return is_done ? EDGETL_OK : EDGETL_LAUNCH_FAILED;
  }
};

// The launch that edgetl_head.h declares, with an order of threads and blocks and a barrier left out.
inline edgetl_status launch(const edgetl_head_args *args, unsigned seed, int skipped_barrier) {
  head::Plan plan{};
  const edgetl_status status = head::make_plan(args, plan);
  if (status != EDGETL_OK) return status;
  return head::choose(*args, plan, HostLaunch{*args, plan, seed, skipped_barrier});
}

}  // namespace edgetl::test

#endif
