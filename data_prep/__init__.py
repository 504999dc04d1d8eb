"""Turn raw or rendered images into split files (see `asen_tf.data`)."""
