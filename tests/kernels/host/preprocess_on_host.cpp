// The preprocessor's own sources as a library for the CPU, with the order of threads and blocks as an argument.
#include "edgetl_preprocess_block.h"
#include "fibre_block.h"

namespace {

using edgetl::test::FibreBlock;
using edgetl::test::Fibres;
using edgetl::test::order_of;

static_assert(edgetl::preprocess::kThreads == edgetl::test::kThreads, "a block of fibres has one size");

// What edgetl_preprocess_block.h asks of its machine.
struct TileBlock : FibreBlock {
  using FibreBlock::FibreBlock;
  int tile_column() const { return slice(); }
  int tile_row() const { return tile(); }
};

struct HostLaunch {
  const edgetl_preprocess_args &args;
  const edgetl::preprocess::Plan &plan;
  unsigned seed;
  int skipped_barrier;

  template <class Frame, int kBase>
  edgetl_status run() {
    namespace preprocess = edgetl::preprocess;
    const int across = edgetl::ceil_div(args.input_width, preprocess::kTileWidth);
    const int down = edgetl::ceil_div(args.input_height, preprocess::kTileHeight);
    const std::vector<int> warps = order_of(edgetl::test::kWarps, seed);
    const std::vector<int> lanes = order_of(edgetl::test::kLanes, seed);
    Fibres fibres;
    auto shared = std::make_unique<preprocess::Shared>();
    bool is_done = true;
    for (const int number : order_of(across * down, seed)) {
      std::memset(shared.get(), 0, sizeof *shared);  // what no thread wrote: black, and no coordinate to run after
      is_done = fibres.run(warps, lanes, [&](int thread) {
        TileBlock block(fibres, thread, number % across, number / across, skipped_barrier);
        preprocess::run_block<Frame, kBase>(args, plan, block, *shared);
      });
      if (!is_done) break;
    }
    fibres.join();
    return is_done ? EDGETL_OK : EDGETL_LAUNCH_FAILED;
  }
};

edgetl_status launch(const edgetl_preprocess_args *args, unsigned seed, int skipped_barrier) {
  edgetl::preprocess::Plan plan{};
  const edgetl_status status = edgetl::preprocess::make_plan(args, plan);
  if (status != EDGETL_OK) return status;
  return edgetl::preprocess::choose(*args, plan, HostLaunch{*args, plan, seed, skipped_barrier});
}

}  // namespace

extern "C" {

edgetl_status edgetl_preprocess_launch(const edgetl_preprocess_args *args, void *) { return launch(args, 0, -1); }

edgetl_status test_preprocess_launch(const edgetl_preprocess_args *args, unsigned seed, int skipped_barrier) {
  return launch(args, seed, skipped_barrier);
}

const char *edgetl_status_text(edgetl_status status) { return edgetl::describe(status); }

std::uint64_t test_preprocess_args_bytes() { return sizeof(edgetl_preprocess_args); }

int test_halvings(const edgetl_preprocess_args *args) {
  edgetl::preprocess::Plan plan{};
  return edgetl::preprocess::make_plan(args, plan) == EDGETL_OK ? plan.halvings : -1;
}

int test_load_width(const edgetl_preprocess_args *args) {
  edgetl::preprocess::Plan plan{};
  return edgetl::preprocess::make_plan(args, plan) == EDGETL_OK ? plan.load_width : -1;
}
}
