// The preprocessor's own sources as a library for the CPU, with the order of threads and blocks as an argument.
#include "tile_block.h"

extern "C" {

edgetl_status edgetl_preprocess_launch(const edgetl_preprocess_args *args, void *) {
  return edgetl::test::launch(args, 0, -1);
}

edgetl_status test_preprocess_launch(const edgetl_preprocess_args *args, unsigned seed, int skipped_barrier) {
  return edgetl::test::launch(args, seed, skipped_barrier);
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
