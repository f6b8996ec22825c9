alter table package drop column rereads;
