// The fused head's own sources as a library for the CPU, with the order of threads and blocks as an argument.
#include <algorithm>
#include <numeric>
#include <random>

#include "fibre_block.h"

namespace {

using edgetl::test::FibreBlock;
using edgetl::test::Scheduler;

// Seed 0 is 0, 1, 2, ...; seed 1 the reverse; every other one an order of its own.
std::vector<int> order_of(int count, unsigned seed) {
  std::vector<int> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (seed == 1) std::reverse(order.begin(), order.end());
  if (seed > 1) std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  return order;
}

struct HostLaunch {
  const edgetl_head_args &args;
  const edgetl::head::Plan &plan;
  unsigned seed;
  int skipped_barrier;

  template <int kImages, class Weight>
  edgetl_status run() {
    Scheduler scheduler;
    auto shared = std::make_unique<edgetl::head::Shared<kImages>>();
    const std::vector<int> warps = order_of(edgetl::head::kWarps, seed);
    const std::vector<int> lanes = order_of(edgetl::head::kLanes, seed);
    for (const int number : order_of(plan.slices * plan.tiles, seed)) {
      std::memset(static_cast<void *>(shared.get()), 0xff, sizeof *shared);  // NaN: what no thread wrote
      shared->is_last = false;  // 0xff is no bool
      const bool is_done = scheduler.run(warps, lanes, [&](int thread) {
        FibreBlock block(scheduler, thread, number % plan.slices, number / plan.slices, skipped_barrier);
        edgetl::head::run_block<kImages, Weight>(args, plan, block, *shared);
      });
      if (!is_done) return EDGETL_LAUNCH_FAILED;
    }
    return EDGETL_OK;
  }
};

}  // namespace

extern "C" {

edgetl_status edgetl_head_workspace(const edgetl_head_args *args, std::uint64_t *bytes) {
  return edgetl::head::measure(args, bytes);
}

edgetl_status test_head_launch(const edgetl_head_args *args, unsigned seed, int skipped_barrier) {
  edgetl::head::Plan plan{};
  const edgetl_status status = edgetl::head::make_plan(args, plan);
  if (status != EDGETL_OK) return status;
  return edgetl::head::choose(*args, plan, HostLaunch{*args, plan, seed, skipped_barrier});
}

const char *edgetl_status_text(edgetl_status status) { return edgetl::head::describe(status); }

std::uint64_t test_head_args_bytes() { return sizeof(edgetl_head_args); }

void test_half_as_float(const std::uint16_t *halves, float *floats, int count) {
  for (int i = 0; i < count; ++i) floats[i] = edgetl::head::as_float(edgetl::head::Half{halves[i]});
}

void test_split(const edgetl_head_args *args, int *slice, int *slices, int *tiles) {
  edgetl::head::Plan plan{};
  edgetl::head::split(*args, plan);
  *slice = plan.slice;
  *slices = plan.slices;
  *tiles = plan.tiles;
}
}
