/* The fused classification head: global average pool, linear, bias, softmax and top-k in one launch.
 *
 * A C ABI of plain pointers and numbers: no header of CUDA, PyTorch or TensorRT is needed to call it.
 * Every pointer is device memory. Nothing is allocated, printed or waited for.
 */
#ifndef EDGETL_HEAD_H
#define EDGETL_HEAD_H

#include <stdint.h>

#include "edgetl_status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { EDGETL_HEAD_MAX_TOP_K = 32, EDGETL_HEAD_MAX_BATCH = 65535, EDGETL_HEAD_MAX_PIXELS = 1 << 24 };

typedef enum edgetl_dtype { EDGETL_FP32 = 0, EDGETL_FP16 = 1, EDGETL_INT8 = 2 } edgetl_dtype;

typedef enum edgetl_layout { EDGETL_NCHW = 0, EDGETL_NHWC = 1 } edgetl_layout;

typedef struct edgetl_head_args {
  const void *features; /* (batch, channels, height, width) of feature_dtype, by the strides below */
  const void *weights;  /* (classes, channels) of weight_dtype; channels are contiguous */
  const float *bias;    /* (classes,), or null */

  int32_t *indices;     /* (batch, top_k), largest logit first, of equal ones the smaller index; -1 after NaN */
  float *scores;        /* (batch, top_k), the probabilities of those classes; NaN after NaN */
  float *probabilities; /* (batch, classes), or null */
  int32_t *status;      /* (batch,), EDGETL_OK or EDGETL_NAN */

  void *workspace; /* edgetl_head_workspace() bytes, zeroed once before the first launch; a launch leaves the
                      zeros that the next one needs. Launches that may overlap need one each. */
  uint64_t workspace_bytes;

  int64_t batch_stride, channel_stride, row_stride, column_stride; /* of features, in elements */
  int64_t weight_stride;                                           /* from class to class, in elements */

  int32_t batch, channels, height, width, classes, top_k;
  int32_t feature_dtype; /* edgetl_dtype */
  int32_t weight_dtype;  /* EDGETL_FP32 or EDGETL_FP16 */
  int32_t layout;        /* edgetl_layout: which of the strides is the small one, so how threads are laid out */
  int32_t multiprocessors; /* of the device: how finely the classes are split */
  float feature_scale;     /* feature value per integer step; read with EDGETL_INT8 only */
} edgetl_head_args;

/* Bytes of workspace that these sizes need; reads neither pointers nor workspace_bytes. */
edgetl_status edgetl_head_workspace(const edgetl_head_args *args, uint64_t *bytes);

/* Put the head into a stream (a cudaStream_t; null is the default stream). What is wrong with the arguments
 * is returned at once, what is wrong with the numbers is in `status` when the stream gets there. */
edgetl_status edgetl_head_launch(const edgetl_head_args *args, void *stream);

#ifdef __cplusplus
}
#endif

#endif
